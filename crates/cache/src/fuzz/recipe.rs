//! A recipe. The first eight bytes are the length of its whole.

use crate::recipe::{Draft, Recipe};

pub(super) fn target(bytes: &[u8]) {
    let Some((length, encoded)) = bytes.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    let Some(recipe) = Recipe::decode(encoded, length) else { return };
    assert_eq!(recipe.encoded(), encoded);
    assert_eq!(recipe.parts().filter_map(|part| part.size()).sum::<u64>(), length);
    assert!(recipe.parts().all(|part| part.size().is_some_and(|size| size > 0 && size < length)));
    let mut draft = Draft::new(recipe.function(), recipe.chunking());
    recipe.parts().for_each(|part| draft.push(&part).expect("inputs are shorter than the longest recipe"));
    assert_eq!(draft.finish(), recipe);
}
