//! A Bazel workspace with genrules, C++ rules and a test, a tree artifact and a large output, over gRPC: after `bazel clean` every action is a remote
//! cache hit, also after a restart and after `kill -9`, also where outputs stay remote; and a cache that has lost its blobs costs a rebuild, not a build.

use kura_e2e::{Built, Kura, Workspace, files, summary};
use sha2::{Digest, Sha256};

const BUILD: &str = r#"
load(":tree.bzl", "tree")
genrule(name = "one", outs = ["one.txt"], cmd = "echo one > $@")
genrule(name = "two", srcs = ["one.txt"], outs = ["two.txt"], cmd = "cat $< $< > $@; echo to standard output; echo and error >&2")
genrule(name = "large", outs = ["large.bin"], cmd = "head -c 314572800 /dev/urandom > $@")
cc_library(name = "greeting", srcs = ["greeting.c"], hdrs = ["greeting.h"])
cc_binary(name = "hello", srcs = ["hello.c"], deps = [":greeting"])
cc_test(name = "greets", srcs = ["hello.c"], deps = [":greeting"])
tree(name = "tree")
genrule(name = "of_tree", srcs = [":tree"], outs = ["of_tree.txt"], cmd = "find -L $< -type f | sort | xargs cat > $@")
"#;

const TREE: &str = r#"
def _tree(ctx):
    directory = ctx.actions.declare_directory(ctx.label.name + ".d")
    ctx.actions.run_shell(
        outputs = [directory],
        command = "mkdir -p $1/a/b $1/c; echo 1 > $1/a/1; echo 2 > $1/a/b/2; echo 3 > $1/c/3; : > $1/empty",
        arguments = [directory.path],
    )
    return [DefaultInfo(files = depset([directory]))]

tree = rule(implementation = _tree)
"#;

const FILES: [(&str, &str); 5] = [
    ("BUILD", BUILD),
    ("tree.bzl", TREE),
    ("hello.c", "#include \"greeting.h\"\nint main(void) { return greeting() - 42; }\n"),
    ("greeting.c", "#include \"greeting.h\"\nint greeting(void) { return 42; }\n"),
    ("greeting.h", "int greeting(void);\n"),
];

const OUTPUTS: [&str; 6] = [
    "bazel-bin/one.txt",
    "bazel-bin/two.txt",
    "bazel-bin/large.bin",
    "bazel-bin/hello",
    "bazel-bin/greets",
    "bazel-bin/of_tree.txt",
];

fn workspace() -> Workspace {
    Workspace::new(&FILES, &OUTPUTS)
}

fn remote(kura: &Kura) -> String {
    format!("grpc://{}", kura.address())
}

#[test]
fn every_action_of_a_second_build_is_a_remote_cache_hit() {
    let mut kura = Kura::start(&["--capacity", "2GiB"]);
    let workspace = workspace();
    let built = workspace.build(&remote(&kura));
    assert_eq!(built.hits(), 0, "the first build finds nothing: {}", built.summary);
    assert!(built.outputs[2].len() == 300 << 20, "the large output is large");
    kura.in_each_life(|kura| all_hits(&workspace, kura, &built));
    outputs_may_stay_remote(&workspace, &kura);
    tests_are_cached(&workspace, &kura);
}

fn all_hits(workspace: &Workspace, kura: &Kura, built: &Built) {
    let before = kura.metrics();
    let again = workspace.build(&remote(kura));
    let after = kura.metrics();
    assert!(again.outputs == built.outputs, "the outputs are identical");
    assert!(!again.ran(), "nothing was run: {}", again.summary);
    assert!(again.hits() >= 10, "{}", again.summary);
    assert_eq!(after.hits("action") - before.hits("action"), again.hits(), "{}", again.summary);
    assert_eq!((after.misses("action"), after.misses("cas")), (before.misses("action"), before.misses("cas")));
}

fn outputs_may_stay_remote(workspace: &Workspace, kura: &Kura) {
    let before = kura.metrics();
    let printed = workspace.after_clean("build", &remote(kura), &["--remote_download_minimal"]);
    let after = kura.metrics();
    assert!(!summary(&printed).contains("local"), "{printed}");
    assert!(!workspace.path("bazel-bin/large.bin").exists(), "it stays remote");
    let sent = "kura_grpc_sent_bytes_total";
    assert!(after.of(sent) - before.of(sent) < 1 << 20, "next to nothing was sent");
}

fn tests_are_cached(workspace: &Workspace, kura: &Kura) {
    let first = workspace.after_clean("test", &remote(kura), &[]);
    assert!(first.contains("1 test passes"), "{first}");
    let again = workspace.after_clean("test", &remote(kura), &[]);
    assert!(again.contains("(cached) PASSED"), "{again}");
    assert!(!summary(&again).contains("local"), "{again}");
}

#[test]
fn a_cache_that_lost_every_blob_behind_its_action_results_costs_a_rebuild_and_not_the_build() {
    let kura = Kura::start(&["--capacity", "2GiB"]);
    let workspace = workspace();
    let built = workspace.build(&remote(&kura));
    let mut deleted = 0;
    for file in files(&workspace.path("bazel-bin/").canonicalize().unwrap()) {
        let hash: String =
            Sha256::digest(std::fs::read(&file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        deleted += u32::from(kura.delete(&format!("/cas/{hash}")).status == 204);
    }
    assert!(deleted >= 10, "{deleted} blobs were deleted");
    let printed = workspace.after_clean("build", &remote(&kura), &["--remote_download_minimal"]);
    assert!(summary(&printed).contains("local"), "it was built again: {printed}");
    let again = workspace.build(&remote(&kura));
    assert!(!again.ran(), "{}", again.summary);
    assert_eq!(again.outputs.len(), built.outputs.len());
}
