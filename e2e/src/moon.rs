//! A workspace for moon: projects of one task each, which copies a file. With a home directory of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{node_command, run};

/// Gone with this.
pub struct MoonWorkspace {
    directory: TempDir,
    home: TempDir,
    projects: Vec<&'static str>,
}

impl MoonWorkspace {
    /// Projects of these names, with their names as sources.
    #[must_use]
    pub fn new(projects: &[&'static str]) -> MoonWorkspace {
        let [directory, home] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let workspace = MoonWorkspace { directory, home, projects: projects.to_vec() };
        fs::create_dir(workspace.directory.path().join(".moon")).unwrap();
        for name in projects {
            let project = workspace.project(name);
            fs::create_dir_all(&project).unwrap();
            fs::write(project.join("source.txt"), name).unwrap();
            let task = "tasks:\n  build:\n    script: 'mkdir -p dist && cp source.txt dist/out.txt'\n    \
                        inputs: ['source.txt']\n    outputs: ['dist']\n";
            fs::write(project.join("moon.yml"), task).unwrap();
        }
        // Outside of a repository, and before its first commit, moon asks no remote cache.
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            run(git.current_dir(workspace.directory.path()).env("HOME", workspace.home.path()).args(arguments))
        };
        git(&["init", "--quiet"]);
        git(&["add", "packages"]);
        git(&["-c", "user.name=e2e", "-c", "user.email=", "commit", "--quiet", "--message=first"]);
        workspace
    }

    /// Where a project is.
    #[must_use]
    pub fn project(&self, name: &str) -> PathBuf {
        self.directory.path().join("packages").join(name)
    }

    /// A build of everything with that remote cache, and without anything of this machine's.
    #[must_use]
    pub fn clean_build(&self, remote: &str) -> Command {
        let api = if remote.starts_with("http") { "http" } else { "grpc" };
        self.clean_build_with(&format!("remote:\n  api: '{api}'\n  host: '{remote}'\n"))
    }

    /// The same with that remote cache's part of the settings.
    #[must_use]
    pub fn clean_build_with(&self, remote: &str) -> Command {
        let root = self.directory.path();
        let settings = format!("projects:\n  - 'packages/*'\ntelemetry: false\n{remote}");
        fs::write(root.join(".moon/workspace.yml"), settings).unwrap();
        let _ = fs::remove_dir_all(root.join(".moon/cache"));
        for name in &self.projects {
            let _ = fs::remove_dir_all(self.project(name).join("dist"));
        }
        let mut moon = node_command("moon", root);
        moon.env("HOME", self.home.path()).args(["run", ":build"]);
        moon
    }
}
