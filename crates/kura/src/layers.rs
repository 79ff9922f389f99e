//! Where each setting's value comes from: flags before environment before file before default.
//! Promise: what nobody knows is refused by name, with the nearest that is known.
//! Not here: what values mean (`config`).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use crate::settings::{CONFIG_FILE, Setting, Variable};

/// Longest configuration file taken, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What is wrong with the configuration, and with which part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("unknown setting `{key}` in {place}: did you mean `{nearest}`?")]
    Unknown { key: String, place: Source, nearest: &'static str },
    #[error("`{name}` from {place} cannot be `{value}`: {expected}")]
    Invalid { name: &'static str, place: Source, value: String, expected: String },
    #[error("cannot read the configuration file {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is no TOML: {message}", .path.display())]
    NotToml { path: PathBuf, message: String },
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag => f.write_str("the command line"),
            Source::Environment => f.write_str("the environment"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Default => f.write_str("the defaults"),
        }
    }
}

/// One value, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// A value for every setting.
pub(crate) struct Layers {
    values: Vec<(Setting, Written)>,
    remarks: Vec<String>,
}

impl Layers {
    /// # Errors
    /// Unknown names, and a file that cannot be read.
    pub(crate) fn gather(
        flags: &ArgMatches,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Layers, ConfigError> {
        let environment = Environment::gather(environment)?;
        let named = flags.get_one::<String>(CONFIG_FILE).map(PathBuf::from);
        let file = match named.or(environment.file) {
            Some(path) => read_file(&path)?,
            None => HashMap::new(),
        };
        let value = |setting: Setting| {
            // A command takes the flags of some settings only.
            let flag = flags.try_get_one::<String>(setting.spec().name).ok().flatten().cloned();
            let flag = flag.map(|value| Written { value, source: Source::Flag });
            let set = flag.or_else(|| environment.values.get(setting.spec().name).cloned());
            let set = set.or_else(|| file.get(setting.spec().name).cloned());
            (setting, set.unwrap_or_else(|| Written { value: default_of(setting), source: Source::Default }))
        };
        Ok(Layers { values: Setting::ALL.into_iter().map(value).collect(), remarks: environment.remarks })
    }

    pub(crate) fn all(&self) -> &[(Setting, Written)] {
        &self.values
    }

    pub(crate) fn of(&self, setting: Setting) -> &Written {
        // Invariant: `gather` makes one of each, in the order of the enum.
        &self.values[setting as usize].1
    }

    /// What the operator should hear of once there is a log.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

fn default_of(setting: Setting) -> String {
    match setting {
        Setting::DataDir => default_data_dir(|name| std::env::var_os(name)).to_string_lossy().into_owned(),
        other => other.spec().default.to_owned(),
    }
}

fn default_data_dir(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(data) = directory("XDG_DATA_HOME") {
        return data.join("kura");
    }
    directory("HOME").map_or_else(|| PathBuf::from("/var/lib/kura"), |home| home.join(".local/share/kura"))
}

#[derive(Default)]
struct Environment {
    values: HashMap<&'static str, Written>,
    file: Option<PathBuf>,
    remarks: Vec<String>,
}

impl Environment {
    fn gather(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Environment, ConfigError> {
        let mut environment = Environment::default();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            match Setting::of_variable(&name) {
                Variable::Foreign => {}
                Variable::ConfigFile => environment.file = Some(value.into()),
                Variable::Of(setting) => {
                    let value = value.to_string_lossy().into_owned();
                    environment.values.insert(setting.spec().name, Written { value, source: Source::Environment });
                }
                Variable::Mistyped(nearest) => {
                    let (key, place) = (name.into_owned(), Source::Environment);
                    return Err(ConfigError::Unknown { key, place, nearest });
                }
                Variable::Unknown => {
                    environment.remarks.push(format!("the environment variable {name} is no setting: ignored"));
                }
            }
        }
        Ok(environment)
    }
}

fn read_file(path: &Path) -> Result<HashMap<&'static str, Written>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::NotToml { path: path.to_owned(), message: error.to_string() })?;
    let mut values = HashMap::new();
    for (key, value) in table {
        let source = Source::File(path.to_owned());
        let Some(setting) = Setting::named(&key) else {
            return Err(ConfigError::Unknown { nearest: Setting::nearest(&key), key, place: source });
        };
        let name = setting.spec().name;
        let Some(value) = as_written(&value) else {
            let expected = format!("expected {}", setting.spec().value);
            return Err(ConfigError::Invalid {
                name,
                place: source,
                value: format!("a {}", value.type_str()),
                expected,
            });
        };
        values.insert(name, Written { value, source });
    }
    Ok(values)
}

/// As it would stand on the command line.
fn as_written(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(flags: &[&str], environment: &[(&str, &str)]) -> Result<Layers, ConfigError> {
        let arguments = ["kura", "serve"].iter().chain(flags);
        let matches = crate::command().try_get_matches_from(arguments).unwrap();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Layers::gather(matches.subcommand().unwrap().1, environment)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_come_before_the_environment_before_the_file_before_the_default() {
        let file = file("listen = 'file:1'\ncapacity = 1000\nlease = '2h'\nopaque-prefixes = ['/a', '/b']\n");
        let path = file.path().to_str().unwrap();
        let environment = [("KURA_LISTEN", "environment:1"), ("KURA_CAPACITY", "2GiB"), ("KURA_CONFIG", path)];
        let layers = gather(&["--listen", "flag:1"], &environment).unwrap();
        let of = |setting| layers.of(setting).value.as_str();
        assert_eq!(of(Setting::Listen), "flag:1");
        assert_eq!(of(Setting::Capacity), "2GiB");
        assert_eq!(of(Setting::Lease), "2h");
        assert_eq!(of(Setting::OpaquePrefixes), "/a,/b");
        assert_eq!(of(Setting::DrainTimeout), "30s");
        assert_eq!(layers.of(Setting::Lease).source, Source::File(file.path().to_owned()));
        for (setting, written) in layers.all() {
            assert_eq!(layers.of(*setting), written);
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_known_one() {
        let file = file("data_dirr = '/x'\n");
        let error = gather(&["--config", file.path().to_str().unwrap()], &[]).err().unwrap().to_string();
        assert!(error.contains("`data_dirr`") && error.contains("`data-dir`"), "{error}");
        let error = gather(&[], &[("KURA_LISTN", "x")]).err().unwrap().to_string();
        assert!(error.contains("`KURA_LISTN`") && error.contains("`listen`"), "{error}");
        let arguments = ["kura", "serve", "--capactiy", "1GiB"];
        let error = crate::command().try_get_matches_from(arguments).unwrap_err().to_string();
        assert!(error.contains("--capactiy") && error.contains("--capacity"), "{error}");
    }

    #[test]
    fn what_an_orchestrator_made_up_is_remarked_on_and_ignored() {
        let layers = gather(&[], &[("KURA_SERVICE_HOST", "10.0.0.1")]).unwrap();
        assert_eq!(layers.remarks().len(), 1);
    }

    #[test]
    fn tables_and_broken_files_are_refused() {
        for text in ["[listen]\nport = 1\n", "capacity = true\n", "listen = \n"] {
            let file = file(text);
            assert!(gather(&["--config", file.path().to_str().unwrap()], &[]).is_err(), "{text}");
        }
        assert!(gather(&["--config", "/nowhere/kura.toml"], &[]).is_err());
    }

    #[test]
    fn the_data_directory_is_the_users_own() {
        let with = |pairs: &'static [(&str, &str)]| {
            default_data_dir(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        assert_eq!(with(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/kura"));
        assert_eq!(with(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")]), Path::new("/h/.local/share/kura"));
        assert_eq!(with(&[]), Path::new("/var/lib/kura"));
    }
}
