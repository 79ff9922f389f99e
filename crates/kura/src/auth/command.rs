//! `kura token create`, `list`, `s3` and `revoke`: they change the files of tokens, which a running server reads again by itself.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use kura_auth::{Identity, PairKey, Reach, Role, Secret, Token, TokenId};
use kura_cache::{DEFAULT_NAME, Namespace, Overlay, Tenant};

use super::file::{AuthFileError, TokensFile};
use crate::config;
use crate::layers::{ConfigError, Layers};
use crate::value;

const TENANT: &str = "tenant";
const NAMESPACE: &str = "namespace";
const ROLE: &str = "role";
const OVERLAY: &str = "overlay";
const EXPIRES: &str = "expires";
const ID: &str = "id";

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    File(#[from] AuthFileError),
    #[error("there is no token {0}: `kura token list` names them")]
    NoToken(TokenId),
    #[error("the system gave no random bytes: {0}")]
    NoRandomness(io::Error),
}

/// As the command line has it. `with_place` adds the flags that say where the file is.
pub(crate) fn command(with_place: impl Fn(Command) -> Command) -> Command {
    let tenant = Arg::new(TENANT).long(TENANT).value_name("TENANT").default_value(DEFAULT_NAME);
    let tenant = tenant.value_parser(|text: &str| Tenant::parse(text.to_owned()).map_err(|error| error.to_string()));
    let namespace = Arg::new(NAMESPACE).long(NAMESPACE).value_name("NAMESPACE").action(ArgAction::Append);
    let namespace =
        namespace.value_parser(|text: &str| Namespace::parse(text.to_owned()).map_err(|error| error.to_string()));
    let help =
        "A namespace that it is for; may be given again; a request that names none goes to the first [default: all]";
    let namespace = namespace.help(help);
    let role =
        Arg::new(ROLE).long(ROLE).value_name("ROLE").required(true).value_parser(|text: &str| text.parse::<Role>());
    let role = role.help("What it may do: a reader fetches, a writer stores too, an admin removes too; an overlay fetches, and stores where nobody else fetches");
    let overlay =
        Arg::new(OVERLAY).long(OVERLAY).value_name("NAME").help("Of the role overlay: which one it stores in");
    let overlay = overlay.value_parser(|text: &str| Overlay::parse(text.to_owned()).map_err(|error| error.to_string()));
    let expires = Arg::new(EXPIRES).long(EXPIRES).value_name("DURATION").value_parser(value::duration);
    let expires = expires.help("How long it is good, such as 90d [default: until it is revoked]");
    let parse_id: ValueParser = ValueParser::new(|text: &str| {
        TokenId::parse(text).ok_or_else(|| "expected the id of a token, as `kura token list` prints it".to_owned())
    });
    let id = Arg::new(ID).value_name("ID").required(true).value_parser(parse_id).help("Which token");
    let create = Command::new("create").about("Make a token and print it: it is shown this once");
    let list = Command::new("list").about("List the tokens, without their secrets");
    let pair =
        Command::new("s3").about("Print the key pair that S3's clients sign with, which may do what that token may");
    let revoke = Command::new("revoke").about("Take a token away: within a second nobody can use it");
    Command::new("token")
        .about("Make, list and revoke the tokens that clients identify themselves with")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_place(create.args([
            tenant.help("Whose artifacts it is for"),
            namespace,
            role,
            overlay,
            expires,
        ])))
        .subcommand(with_place(list))
        .subcommand(with_place(pair.arg(id.clone())))
        .subcommand(with_place(revoke.arg(id)))
}

/// Carries one of them out.
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, TokenError> {
    let Some((name, matches)) = matches.subcommand() else { unreachable!("a subcommand is required") };
    let file = config::tokens(&Layers::gather(matches, std::env::vars_os())?)?;
    match name {
        "create" => create(&file, matches)?,
        "list" => list(&file)?,
        "s3" => pair(&file, matches.get_one(ID).expect("clap requires it"))?,
        _ => revoke(&file, matches.get_one(ID).expect("clap requires it"))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn create(file: &TokensFile, matches: &ArgMatches) -> Result<(), TokenError> {
    let id: [u8; 8] = random()?;
    let id = TokenId::parse(&format!("{:016x}", u64::from_be_bytes(id))).expect("these are 16 digits");
    let secret = Secret::new(random()?);
    let namespaces = matches.get_many::<Namespace>(NAMESPACE).unwrap_or_default().cloned().collect();
    let identity = Identity {
        tenant: matches.get_one::<Tenant>(TENANT).expect("clap has a default").clone(),
        reach: Reach::of(namespaces),
        role: *matches.get_one::<Role>(ROLE).expect("clap requires it"),
        overlay: matches.get_one::<Overlay>(OVERLAY).cloned(),
        name: id.as_str().into(),
    };
    let now = now();
    let expires = matches.get_one::<Duration>(EXPIRES).and_then(|after| now.checked_add(*after));
    let token = Token::new(id.clone(), &secret, &identity, now, expires);
    file.change(|tokens| tokens.add(token))?;
    say(&secret.token(&id));
    eprintln!(
        "This is shown once. Its id is {id}; it stands in {}. `kura token s3 {id}` prints its key pair.",
        file.0.display()
    );
    Ok(())
}

fn list(file: &TokensFile) -> Result<(), TokenError> {
    let (tokens, now) = (file.read()?.unwrap_or_default(), now());
    for token in tokens.iter() {
        let namespaces = if token.namespaces.is_empty() { "*".to_owned() } else { token.namespaces.join(",") };
        let date = |date| humantime::format_rfc3339_seconds(date).to_string();
        let until = match token.expires {
            Some(at) if token.has_expired(now) => format!("expired {}", date(at)),
            Some(at) => format!("until {}", date(at)),
            None => "until revoked".to_owned(),
        };
        let overlay = token.overlay.as_ref().map(|name| format!(" (overlay {name})")).unwrap_or_default();
        let Token { id, tenant, role, created, .. } = token;
        say(&format!("{id}  {role:7}  {tenant}/{namespaces}{overlay}  {}  {until}", date(*created)));
    }
    Ok(())
}

fn pair(file: &TokensFile, id: &TokenId) -> Result<(), TokenError> {
    if !file.read()?.is_some_and(|tokens| tokens.has(id)) {
        return Err(TokenError::NoToken(id.clone()));
    }
    let key = file.pair_key_or(PairKey::new(random()?))?;
    say(&format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={}", key.secret(id)));
    Ok(())
}

fn revoke(file: &TokensFile, id: &TokenId) -> Result<(), TokenError> {
    if file.change(|tokens| Ok(tokens.revoke(id)))? { Ok(()) } else { Err(TokenError::NoToken(id.clone())) }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], TokenError> {
    let mut bytes = [0; BYTES];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match filled.map_err(|error| TokenError::NoRandomness(error.into()))? {
        all if all == BYTES => Ok(bytes),
        _ => Err(TokenError::NoRandomness(io::ErrorKind::UnexpectedEof.into())),
    }
}

#[expect(clippy::disallowed_methods, reason = "a command of people is in no simulation")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A closed standard output is no error.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
