//! The key pair of a server that serves S3, its secret in a file of its own.

use std::io::Write;

use tempfile::NamedTempFile;

/// A file with the secret; gone with this.
pub struct S3(NamedTempFile);

impl Default for S3 {
    fn default() -> S3 {
        S3::new()
    }
}

impl S3 {
    /// The access key's id.
    pub const ID: &str = "AKIDKURA";
    /// Its secret.
    pub const SECRET: &str = "a-secret-that-is-in-no-log/+=";

    /// Writes the file.
    #[must_use]
    pub fn new() -> S3 {
        let mut file = NamedTempFile::new().unwrap();
        writeln!(file, "{}", S3::SECRET).unwrap();
        S3(file)
    }

    /// What a server is started with.
    #[must_use]
    pub fn flags(&self) -> [&str; 4] {
        ["--s3-key-id", S3::ID, "--s3-secret-file", self.0.path().to_str().unwrap()]
    }
}
