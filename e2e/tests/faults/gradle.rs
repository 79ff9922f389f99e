//! Gradle, with one class.

use std::process::Command;

use crate::{PATIENCE, Tried, came_of, tried};

#[test]
fn gradle() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let sources = root.join("src/main/java");
    std::fs::create_dir_all(&sources).unwrap();
    std::fs::write(root.join("build.gradle"), "apply plugin: 'java'\n").unwrap();
    tried(&Tried { page: "gradle.md", heading: "Gradle", ..Tried::default() }, |address, number| {
        let settings = format!(
            "buildCache {{ local {{ enabled = false }}; remote(HttpBuildCache) {{ url = 'http://{address}/cache/'; push = true }} }}\n"
        );
        std::fs::write(root.join("settings.gradle"), settings).unwrap();
        let class = format!("public class Hello {{ public int answer() {{ return {number}; }} }}\n");
        std::fs::write(sources.join("Hello.java"), class).unwrap();
        let mut gradle = Command::new("gradle");
        gradle.current_dir(root).args(["--no-daemon", "--console=plain", "--build-cache", "-g"]).arg(root.join("home"));
        gradle.args(["-Dorg.gradle.internal.http.socketTimeout=2000", "compileJava"]);
        came_of(&mut gradle, PATIENCE)
    });
}
