//! A server that asks for tokens, and what comes of a client's builds with those of a writer, of a reader and of a stranger. A client is told what
//! `kura setup` prints.

use std::path::Path;
use std::process::{Command, ExitStatus};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::http::trusted_agent;
use crate::server::{Kura, kura_binary};
use crate::tool::run;

/// One that no server has made.
const UNKNOWN: &str = "kura_0000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What `kura setup` calls the file that it says how to make.
const TRUST_STORE: &str = "/path/to/trust.p12";

/// What a build came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// All of it came from the cache.
    Hit,
    /// It was built.
    Built,
    /// It failed.
    Failed,
}

impl Came {
    /// By its status, and whether all came from the cache. What it printed is shown where a test fails.
    #[must_use]
    pub fn of(status: ExitStatus, printed: &str, is_hit: bool) -> Came {
        println!("{status}, {printed}");
        match (status.success(), is_hit) {
            (false, _) => Came::Failed,
            (true, true) => Came::Hit,
            (true, false) => Came::Built,
        }
    }
}

/// Who builds.
pub struct Who<'a> {
    /// The token.
    pub token: &'a str,
    /// Whether it may store.
    pub stores: bool,
    /// What `kura setup` prints for it.
    pub lines: String,
}

/// A server with tokens, and with a certificate of a private authority if it speaks TLS.
pub struct Guarded {
    /// The server.
    pub kura: Kura,
    /// A token of the role `writer`.
    pub writer: String,
    /// One of the role `reader`.
    pub reader: String,
    /// One of the role `overlay`.
    pub overlay: String,
    ca: Option<String>,
    directory: TempDir,
}

impl Guarded {
    /// Without TLS.
    #[must_use]
    pub fn plain() -> Guarded {
        Guarded::start(false)
    }

    /// Under TLS.
    #[must_use]
    pub fn under_tls() -> Guarded {
        Guarded::start(true)
    }

    fn start(has_tls: bool) -> Guarded {
        let directory = tempfile::tempdir().unwrap();
        let tokens = directory.path().join("tokens").display().to_string();
        let [writer, reader, overlay] =
            [&["writer"][..], &["reader"], &["overlay", "--overlay", "pr/1"]].map(|role| token(&tokens, role));
        let mut flags = vec!["--capacity", "256MiB", "--auth", "--auth-tokens", &tokens];
        let certified = has_tls.then(|| Certified::new(directory.path()));
        if let Some(certified) = &certified {
            flags.extend(["--tls-certificate", &certified.certificate, "--tls-key", &certified.key]);
        }
        let agent = trusted_agent(certified.as_ref().map(|certified| certified.root.as_slice()), &reader);
        let kura = Kura::start_asked_by(agent, &flags);
        Guarded { kura, writer, reader, overlay, ca: certified.map(|certified| certified.ca), directory }
    }

    /// What `kura setup` prints for who has that token.
    #[must_use]
    pub fn lines(&self, client: &str, token: &str) -> String {
        let mut flags = vec!["--token", token];
        flags.extend(self.ca.iter().flat_map(|file| ["--ca", file]));
        self.with_trust_store(&self.kura.lines(client, &flags))
    }

    /// The file of the authority.
    ///
    /// # Panics
    /// Without TLS.
    #[must_use]
    pub fn ca(&self) -> &str {
        self.ca.as_deref().expect("it speaks TLS")
    }

    /// Makes what the lines say how to make.
    fn with_trust_store(&self, lines: &str) -> String {
        let file = self.directory.path().join("trust.p12");
        let lines = lines.replace(TRUST_STORE, &file.display().to_string());
        if let Some((_, rest)) = lines.split_once(": keytool ")
            && !file.exists()
        {
            let arguments = rest.lines().next().unwrap().split(' ');
            run(Command::new("keytool").args(arguments));
        }
        lines
    }

    /// Tries a client: `build` builds the source of that number, with nothing of this machine's. A stranger's build comes to what `stranger` says, and
    /// so does the client's page.
    pub fn tried(&self, client: &str, stranger: Came, build: impl Fn(&Who<'_>, u32) -> Came) {
        let by = |token: &str, number| {
            build(&Who { token, stores: token == self.writer, lines: self.lines(client, token) }, number)
        };
        assert_eq!(by(&self.writer, 1), Came::Built, "the first build finds nothing");
        assert_eq!(by(&self.writer, 1), Came::Hit, "a writer has stored it");
        assert_eq!(by(&self.reader, 1), Came::Hit, "a reader fetches it");
        let stored = self.kura.metrics().all_stored();
        assert_eq!(by(&self.reader, 2), Came::Built, "a reader builds what is not there");
        assert_eq!(self.kura.metrics().all_stored(), stored, "a reader stores nothing");
        assert_eq!(by(UNKNOWN, 1), stranger, "the token is not known");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/clients/{client}.md"));
        let does = if stranger == Came::Failed { "fails the build" } else { "leaves the build without the cache" };
        let sentence = format!("A token that is not taken {does}");
        assert!(std::fs::read_to_string(&page).unwrap().contains(&sentence), "{client}.md does not say: {sentence}");
    }
}

fn token(tokens: &str, role: &[&str]) -> String {
    let mut command = Command::new(kura_binary());
    command.args(["token", "create", "--auth-tokens", tokens, "--role"]).args(role);
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim_end().to_owned()
}

/// A certificate for this machine, and who vouches for it: in files, and as it is.
struct Certified {
    ca: String,
    certificate: String,
    key: String,
    root: Vec<u8>,
}

impl Certified {
    fn new(directory: &Path) -> Certified {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer has its own name for one that it signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap().pem();
        let written = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        Certified {
            ca: written("ca.pem", &authority.pem()),
            certificate: written("certificate.pem", &certificate),
            key: written("key.pem", &key.serialize_pem()),
            root: authority.der().to_vec(),
        }
    }
}

/// The variables that lines of a shell export.
#[must_use]
pub fn variables(lines: &str) -> Vec<(String, String)> {
    let exported = lines.lines().filter_map(|line| line.strip_prefix("export "));
    let pairs = exported.flat_map(str::split_whitespace).map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
