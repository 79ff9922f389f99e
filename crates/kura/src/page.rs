//! The settings as people read them: `kura config`, and the table in `docs/configuration.md`.

use std::fmt::Write;

use crate::layers::Layers;

/// One line a setting: name, value, where it came from.
pub(crate) fn in_force(layers: &Layers) -> String {
    let name_width = layers.all().iter().map(|(setting, _)| setting.spec().name.len()).max().unwrap_or(0);
    let value_width = layers.all().iter().map(|(_, written)| written.value.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (setting, written) in layers.all() {
        let (name, value) = (setting.spec().name, &written.value);
        let _ = writeln!(text, "{name:name_width$}  {value:value_width$}  from {}", written.source);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use crate::settings::Setting;

    const START: &str = "<!-- settings: made from the code by `KURA_WRITE_DOCS=1 cargo test -p kura` -->\n";
    const END: &str = "<!-- end of settings -->";

    fn table() -> String {
        let mut text =
            String::from("| flag and key | variable | value | default | what it decides |\n|---|---|---|---|---|\n");
        for spec in Setting::ALL.map(Setting::spec) {
            let default = if spec.default.is_empty() { "(none)".to_owned() } else { format!("`{}`", spec.default) };
            let value = spec.value.replace('|', "\\|");
            let _ =
                writeln!(text, "| `--{}` | `{}` | `{value}` | {default} | {} |", spec.name, spec.variable(), spec.help);
        }
        text
    }

    #[test]
    fn the_documented_table_is_the_one_in_force() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let written = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = written.split_once(START).unwrap();
        let (found, after) = rest.split_once(END).unwrap();
        if std::env::var_os("KURA_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{START}{}{END}{after}", table())).unwrap();
            return;
        }
        assert_eq!(found, table(), "docs/configuration.md is out of date: KURA_WRITE_DOCS=1 cargo test -p kura");
    }
}
