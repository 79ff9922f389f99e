//! Action results in JSON: what is taken is given back as what it was.

use crate::surface::action_json::{of_json, to_json};

pub(super) fn target(bytes: &[u8]) {
    let Ok(message) = of_json(bytes) else { return };
    let again = of_json(&to_json(&message).unwrap()).unwrap();
    assert_eq!(again, message);
}
