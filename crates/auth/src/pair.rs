//! S3's key pairs: the id of one is a token's, and its secret an HMAC of that id. Who checks a signature has to have the secret that it was made with: no
//! hash of it would do. Made anew for each, it is kept nowhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::token::TokenId;

/// Bytes of a key.
const LEN: usize = 32;

/// What the secrets of all key pairs of a server are made with. Whoever has it signs for everybody: it is never printed but by [`PairKey::to_text`].
pub struct PairKey([u8; LEN]);

impl PairKey {
    /// Of random bytes.
    #[must_use]
    pub fn new(random: [u8; LEN]) -> PairKey {
        PairKey(random)
    }

    /// Reads what [`PairKey::to_text`] wrote.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<PairKey> {
        let (digits, mut key) = (text.trim_ascii_end(), [0; LEN]);
        let complete = digits.len() == 2 * LEN && faster_hex::hex_decode(digits, &mut key).is_ok();
        complete.then_some(PairKey(key))
    }

    /// As it stands in its file: one line.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n", faster_hex::hex_string(&self.0))
    }

    /// The secret of the pair of that id.
    #[must_use]
    pub fn secret(&self, id: &TokenId) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, id.as_str().as_bytes()))
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_makes_another_secret_for_each_id() {
        let [one, other] = ["0123456789abcdef", "0123456789abcde0"].map(|id| TokenId::parse(id).unwrap());
        let key = PairKey::new([0xfb; LEN]);
        let again = PairKey::parse(key.to_text().as_bytes()).unwrap();
        assert_eq!(again.secret(&one), key.secret(&one));
        assert_ne!(key.secret(&one), key.secret(&other));
        assert_ne!(key.secret(&one), PairKey::new([0; LEN]).secret(&one));
        // As `openssl dgst -sha256 -mac HMAC` has it.
        assert_eq!(PairKey::new([7; LEN]).secret(&one), "D22Xx5jQH5Dpm6T1YMSldwV_iL0mETAnb81OVMEt03E");
        assert!(!format!("{key:?}").contains("251"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let good = PairKey::new([7; LEN]).to_text();
        for bad in ["", "\n", &good[1..], &format!("0{good}"), &good.replace('0', "g"), &format!("{good}x")] {
            assert!(PairKey::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
