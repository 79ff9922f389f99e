//! Signatures, by `ring`, for `jsonwebtoken`, which asks for a provider of its own. Nothing is signed here, and nothing symmetric is verified.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result, new_error};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature as ring;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        Ok(Box::new(Verifying { algorithm: *algorithm, check: check(*algorithm)?, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Says once that this is what verifies. Again is no harm.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

#[derive(Clone, Copy)]
enum Check {
    Rsa(&'static ring::RsaParameters),
    Raw(&'static dyn ring::VerificationAlgorithm),
}

fn check(algorithm: Algorithm) -> Result<Check> {
    Ok(match algorithm {
        Algorithm::RS256 => Check::Rsa(&ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Check::Rsa(&ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Check::Rsa(&ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Check::Rsa(&ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Check::Rsa(&ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Check::Rsa(&ring::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Check::Raw(&ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Check::Raw(&ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Check::Raw(&ring::ED25519),
        // What is symmetric is not verified here, and what is new not yet.
        _ => return Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    })
}

struct Verifying {
    algorithm: Algorithm,
    check: Check,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (self.check, self.key.kind()) {
            (Check::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                ring::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Check::Raw(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                ring::UnparsedPublicKey::new(algorithm, key).verify(message, signature)
            }
            _ => return Err(Error::new()),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
