//! Replays what the fuzzer starts from and what it once broke, so that every test run does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/targets.rs"]
mod targets;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

#[test]
fn corpus_and_regressions_are_replayed() {
    for (name, _) in targets::TARGETS {
        let seeds = files(&folder("corpus").join(name));
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} has no seeds");
        for path in seeds
            .into_iter()
            .chain(files(&folder("regressions").join(name)))
        {
            let bytes = fs::read(&path).expect("a readable file");
            let outcome = std::panic::catch_unwind(|| targets::run(name, &bytes));
            assert!(outcome.is_ok(), "{name} breaks on {}", path.display());
        }
    }
}

#[test]
fn every_target_is_listed() {
    let listed: BTreeSet<_> = targets::TARGETS
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    let stem = |path: PathBuf| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let built: BTreeSet<_> = files(&folder("fuzz_targets"))
        .into_iter()
        .filter_map(stem)
        .collect();
    assert_eq!(listed, built);
}
