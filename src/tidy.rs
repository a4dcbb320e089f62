//! The rules of the house that a text search can keep: floors, doors, sizes, names, purity and the
//! lock file. A rule that needs a person's judgement stands in docs/ARCHITECTURE.md instead.
//!
//! A fault names its file and what to do. Exceptions are lists in this file that only ever shrink.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The floors, top to bottom; rooms on one line are strangers to each other. A room may use rooms
/// of lower lines only (docs/ARCHITECTURE.md draws the same picture).
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["node"],
    &["admin"],
    &["ingest", "relay", "delivery", "rooms", "probe"],
    &[
        "auth", "hooks", "cache", "ledger", "live", "net", "registry", "shed",
    ],
    &["telemetry"],
    &["nats", "runtime"],
    &["packaging"],
    &["container", "protocol"],
    &["media"],
    &["coding"],
];

/// Rooms without tokio, sockets, files and clocks.
const PURE: &[&str] = &["packaging", "container", "protocol", "media", "coding"];

/// What pure rooms may not say.
const IMPURE_WORDS: &[&str] = &[
    "tokio::",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "time::Instant",
    "SystemTime",
    "TcpStream",
    "UdpSocket",
];

/// File and folder names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "misc",
];

const DOOR_LINES_MAX: usize = 150;
const FILE_LINES_MAX: usize = 400;
const TEST_FILE_LINES_MAX: usize = 600;
const INLINE_TEST_LINES_MAX: usize = 160;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARACTERS_MAX: usize = 100;

/// Files above [`FILE_LINES_MAX`], with the length that they may not exceed.
const LONG_FILES: &[(&str, usize)] = &[];

/// Functions above [`FUNCTION_LINES_MAX`]: file, name, length that they may not exceed.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Oldest versions that hold fixes we rely on: memory bounds of QUIC and HTTP/2 streams.
const VERSIONS_MIN: &[(&str, [u64; 3])] = &[("quinn-proto", [0, 11, 15]), ("h2", [0, 4, 16])];

/// Crates that would be a second TLS stack.
const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls"];

/// A source file of the repository.
struct Source {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// True for files that hold nothing but tests.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.ends_with("_test.rs") || self.path.starts_with("tests/") || name == "tidy.rs"
    }

    /// The text without `#[cfg(test)]` modules, which stand last.
    fn shipped(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests {");
        let end = end.or_else(|| self.text.find("#[cfg(test)]\npub(crate) mod tests {"));
        self.text
            .get(..end.unwrap_or(self.text.len()))
            .unwrap_or_default()
    }

    /// The room of a file under `src/`: `src/live/ring.rs` is `live`, `src/main.rs` is none.
    fn room(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        rest.split_once('/').map(|(room, _)| room)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&root().join(folder), "rs", &mut paths);
    }
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(root()).expect("walk starts at the root");
        Source {
            path: relative.to_string_lossy().replace('\\', "/"),
            text: fs::read_to_string(&path).expect("sources are readable UTF-8"),
        }
    };
    paths.into_iter().map(read).collect()
}

fn walk(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let skipped = ["target", "node_modules", "dist", "out"];
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() && !skipped.contains(&name) && !name.starts_with('.') {
            walk(&path, extension, paths);
        } else if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
}

/// Fails with every fault, not only the first.
fn report(rule: &str, faults: &[String]) {
    let mut text = format!("{rule}\n");
    for fault in faults {
        writeln!(text, "  {fault}").expect("writing into a String cannot fail");
    }
    assert!(faults.is_empty(), "{text}");
}

/// The rooms that a text imports: the first step of each `crate::` path, grouped or not.
fn imported_rooms(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = text.get(at + "crate::".len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(group_heads(group)),
            None => rooms.push(head_of(rest)),
        }
    }
    rooms.retain(|room| !room.is_empty() && room.chars().all(|c| !c.is_uppercase()));
    rooms
}

fn head_of(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first steps of `a::b, c::{d, e}}`, up to the brace that closes the group.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut item, mut heads) = (0_u32, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => heads.push(head_of(&std::mem::take(&mut item))),
            '{' => depth += 1,
            '}' => depth -= 1,
            other => item.push(other),
        }
    }
    heads.push(head_of(&item));
    heads
}

#[test]
fn rooms_use_lower_floors_only() {
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room));
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        let Some(room) = source.room().filter(|_| !source.is_test()) else {
            continue;
        };
        let Some(own) = floor(room) else {
            faults.push(format!("{}: room {room} is on no floor", source.path));
            continue;
        };
        for used in imported_rooms(source.shipped()) {
            let path = &source.path;
            match floor(&used) {
                _ if used == room => {}
                None => faults.push(format!("{path}: crate::{used} is no room")),
                Some(theirs) if theirs > own => {}
                Some(theirs) if theirs == own => {
                    faults.push(format!("{path}: {room} and {used} are strangers"));
                }
                Some(_) => faults.push(format!("{path}: {used} is above {room}")),
            }
        }
    }
    report("rooms use rooms of lower floors only:", &faults);
}

#[test]
fn imports_are_read_from_groups_too() {
    let text = "use crate::{media::{frame, Group}, coding::Chunks};\nlet x = crate::live::Store;";
    assert_eq!(imported_rooms(text), ["media", "coding", "live"]);
    assert_eq!(
        imported_rooms("other_crate::x; use crate::Error;"),
        Vec::<String>::new()
    );
}

#[test]
fn pure_rooms_know_no_tokio_socket_file_or_clock() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        if source.is_test() || !source.room().is_some_and(|room| PURE.contains(&room)) {
            continue;
        }
        for (index, line) in source.shipped().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let said = IMPURE_WORDS.iter().find(|word| code.contains(**word));
            if let Some(word) = said {
                faults.push(format!("{}:{}: {word}", source.path, index + 1));
            }
        }
    }
    for room in PURE {
        let door = fs::read_to_string(root().join("src").join(room).join("mod.rs"));
        if !door.is_ok_and(|text| text.contains("#![deny(clippy::disallowed_types)]")) {
            faults.push(format!("src/{room}/mod.rs: deny clippy::disallowed_types"));
        }
    }
    report(
        "pure rooms take time as an argument and bytes as bytes:",
        &faults,
    );
}

#[test]
fn files_doors_functions_and_lines_are_short() {
    let mut faults = Vec::new();
    for source in sources(&["src", "loadtest", "tests", "benches", "fuzz"]) {
        let path = &source.path;
        let lines = source.text.lines().count();
        if path.ends_with("/mod.rs") && lines >= DOOR_LINES_MAX {
            faults.push(format!(
                "{path}: a door of {lines} lines: move code into files"
            ));
        }
        check_file_length(&source, lines, &mut faults);
        for (index, line) in source.text.lines().enumerate() {
            let characters = line.chars().count();
            if characters > LINE_CHARACTERS_MAX {
                faults.push(format!("{path}:{}: {characters} characters", index + 1));
            }
        }
        for (name, lines) in functions(&source.text) {
            let allowed = LONG_FUNCTIONS.iter().find(|f| f.0 == path && f.1 == name);
            let limit = allowed.map_or(FUNCTION_LINES_MAX, |function| function.2);
            if lines > limit {
                faults.push(format!("{path}: {name} has {lines} lines"));
            }
        }
    }
    report("short is readable:", &faults);
}

fn check_file_length(source: &Source, lines: usize, faults: &mut Vec<String>) {
    let path = &source.path;
    let shipped = source.shipped().lines().count();
    let (lines, limit) = if source.is_test() {
        (lines, TEST_FILE_LINES_MAX)
    } else {
        (shipped, FILE_LINES_MAX)
    };
    match LONG_FILES.iter().find(|long| long.0 == path) {
        Some((_, allowed)) if lines > *allowed => {
            faults.push(format!(
                "{path}: {lines} lines, above its exception of {allowed}"
            ));
        }
        Some(_) if lines <= limit => {
            faults.push(format!("{path}: short now: take it off LONG_FILES"));
        }
        None if lines > limit => faults.push(format!("{path}: {lines} lines: split it")),
        Some(_) | None => {}
    }
    let tests = source.text.lines().count() - shipped;
    if !source.is_test() && tests > INLINE_TEST_LINES_MAX {
        let name = path.trim_end_matches(".rs");
        faults.push(format!(
            "{path}: {tests} lines of tests: move them to {name}_test.rs"
        ));
    }
}

/// Names and lengths of functions; formatted code closes a function at the depth it opened at.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let rest = line.trim_start();
        let is_head = [
            "fn ",
            "pub fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "async fn ",
            "pub async fn ",
        ]
        .iter()
        .chain(&["pub(super) async fn ", "pub const fn ", "const fn "])
        .any(|head| rest.starts_with(head));
        if !is_head || rest.ends_with(';') || rest.ends_with('}') {
            continue;
        }
        let close = format!("{indent}}}");
        let body = lines.iter().skip(start).position(|line| **line == close);
        let name = rest.split("fn ").nth(1).map(head_of).unwrap_or_default();
        if let Some(length) = body {
            found.push((name, length + 1));
        }
    }
    found
}

#[test]
fn files_say_what_they_are_for() {
    let mut faults = Vec::new();
    for source in sources(&["src", "benches"]) {
        if !source.text.starts_with("//!") && !source.is_test() {
            faults.push(format!("{}: begin with a //! header", source.path));
        }
        let steps = source.path.trim_end_matches(".rs").split('/');
        if let Some(step) = steps.into_iter().find(|step| EMPTY_NAMES.contains(step)) {
            faults.push(format!("{}: {step} says nothing", source.path));
        }
    }
    report("a file says what it is for:", &faults);
}

#[test]
fn nothing_is_left_over() {
    const LEFT: &[&str] = &[
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "super::super",
        "FIXME",
        "XXX",
    ];
    let mut faults = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        if source.path == "src/tidy.rs" {
            continue;
        }
        for (index, line) in source.text.lines().enumerate() {
            if let Some(word) = LEFT.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{}: {word}", source.path, index + 1));
            }
        }
    }
    report("nothing unfinished, and crate:: paths only:", &faults);
}

#[test]
fn shipped_configurations_are_documented() {
    let mut configurations = Vec::new();
    walk(&root().join("config"), "toml", &mut configurations);
    let mut pages = vec![root().join("README.md")];
    walk(&root().join("docs"), "md", &mut pages);
    let texts: Vec<String> = pages.iter().flat_map(fs::read_to_string).collect();
    let mut faults = Vec::new();
    for path in configurations {
        let name = path.strip_prefix(root()).expect("walk starts at the root");
        let name = name.to_string_lossy();
        if !texts.iter().any(|text| text.contains(&*name)) {
            faults.push(format!("{name}: no page mentions it"));
        }
    }
    report("README.md or docs/ mentions each configuration:", &faults);
}

#[test]
fn lock_file_holds_the_fixes_we_rely_on() {
    let text = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is there");
    let lock: toml::Table = text.parse().expect("Cargo.lock is TOML");
    let packages = lock.get("package").and_then(|list| list.as_array());
    let packages = packages.expect("Cargo.lock lists packages");
    let mut faults = Vec::new();
    for package in packages {
        let field = |name| {
            package
                .get(name)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
        };
        let (name, version) = (field("name"), field("version"));
        let numbers: Vec<u64> = version.split('.').flat_map(str::parse).collect();
        let least = VERSIONS_MIN.iter().find(|(known, _)| *known == name);
        if least.is_some_and(|(_, least)| numbers.as_slice() < least.as_slice()) {
            faults.push(format!("{name} {version} is too old"));
        }
        if BANNED.contains(&name) {
            faults.push(format!("{name} {version} is a second TLS stack"));
        }
    }
    report("the lock file:", &faults);
}

/// `ring` stands in the lock file for other platforms; on ours nothing may build it.
#[test]
fn one_cryptography_library_is_compiled() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build",
            "-i",
            "ring",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let users = String::from_utf8_lossy(&tree.stdout).into_owned();
    assert!(users.trim().is_empty(), "ring is compiled in:\n{users}");
}
