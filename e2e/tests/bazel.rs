//! A Bazel workspace with genrules and a C++ rule, over HTTP: after `bazel clean` every action is a remote cache hit, also after a restart and
//! after `kill -9`.

use kura_e2e::{Built, Kura, Workspace};

const BUILD: &str = r#"
genrule(name = "one", outs = ["one.txt"], cmd = "echo one > $@")
genrule(name = "two", srcs = ["one.txt"], outs = ["two.txt"], cmd = "cat $< $< > $@")
cc_binary(name = "hello", srcs = ["hello.c"])
"#;

#[test]
fn every_action_of_a_second_build_is_a_remote_cache_hit() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let files = [("BUILD", BUILD), ("hello.c", "int main(void) { return 0; }\n")];
    let workspace = Workspace::new(&files, &["bazel-bin/one.txt", "bazel-bin/two.txt", "bazel-bin/hello"]);
    let built = workspace.build(&kura.url("/bazel"));
    assert_eq!(built.hits(), 0, "the first build finds nothing: {}", built.summary);
    kura.in_each_life(|kura| all_hits(&workspace, kura, &built));
}

fn all_hits(workspace: &Workspace, kura: &Kura, built: &Built) {
    let before = kura.metrics();
    let again = workspace.build(&kura.url("/bazel"));
    let after = kura.metrics();
    assert!(again.outputs == built.outputs, "the outputs are identical");
    assert!(!again.ran(), "nothing was run: {}", again.summary);
    assert_eq!(again.hits(), 4, "two genrules, one compilation, one link: {}", again.summary);
    assert_eq!(after.hits("action") - before.hits("action"), again.hits(), "{}", again.summary);
    assert_eq!((after.misses("action"), after.misses("cas")), (before.misses("action"), before.misses("cas")));
}
