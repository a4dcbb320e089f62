use super::*;

fn faults(text: &str, role: Role) -> Vec<String> {
    match Config::read("c.toml", text, role, &[]) {
        Ok(_) => Vec::new(),
        Err(Error::Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn every_fault_is_reported_at_its_place() {
    let text = "\
[node]
nmae = \"x\"
grace_seconds = \"ten\"

[http]
listen = \"nowhere\"

[live]
window_seconds = 1

[delivery]
playlist_window_seconds = 1
";
    let found = faults(text, Role::Dev);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("c.toml:2:1: node.nmae: unknown field `nmae`, expected"));
    assert!(found[1].starts_with("c.toml:3:17: node.grace_seconds: invalid type"));
    assert!(
        found[2].starts_with("c.toml:6:10: http.listen: "),
        "{}",
        found[2]
    );
    assert_eq!(
        found[3],
        "c.toml:9:18: live.window_seconds: use 10 to 3600 seconds"
    );
}

#[test]
fn faults_of_grammar_have_a_place() {
    let found = faults("[node\nname = 3 4\n", Role::Dev);
    assert!(!found.is_empty());
    assert!(
        found.iter().all(|fault| fault.starts_with("c.toml:")),
        "{found:#?}"
    );
}

#[test]
fn roles_need_their_parts() {
    let found = faults("", Role::Edge);
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("relay.parents: an edge needs")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("relay.ca: is missing")),
        "{found:#?}"
    );
    assert!(faults("", Role::Dev).is_empty());
}

#[test]
fn environment_and_flags_override_the_file() {
    let variables = [
        ("RUSHLANE_LIVE__WINDOW_SECONDS", "30"),
        ("RUSHLANE_FFMPEG9", "/somewhere"),
        ("HOME", "/"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut overrides = overrides_from_environment(variables.into_iter());
    assert_eq!(overrides.len(), 1);
    overrides.push(override_from_flag("node.name=edge-7").unwrap());
    let text = "[live]\nwindow_seconds = 60\n";
    let config = Config::read("c.toml", text, Role::Dev, &overrides).unwrap();
    assert_eq!(
        (config.live.window_seconds, config.node.name.as_str()),
        (30, "edge-7")
    );
}

#[test]
fn faulty_overrides_name_themselves() {
    let overrides = [override_from_flag("http.listen=nowhere").unwrap()];
    let Err(Error::Faults(faults)) = Config::read("c.toml", "", Role::Dev, &overrides) else {
        panic!("the override is faulty");
    };
    assert_eq!(faults[0].place, "--set http.listen");
    assert!(override_from_flag("listen").is_err());
    assert!(override_from_flag("listen=1").is_err());
}

#[test]
fn shipped_configs_are_valid_toml_with_known_keys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let role = if path
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("origin")
        {
            Role::Origin
        } else {
            Role::Edge
        };
        let found = match Config::load(&path, role, &[]) {
            Err(Error::Faults(faults)) => faults,
            Err(error) => panic!("{error}"),
            Ok(_) => Vec::new(),
        };
        // The certificates that the files name exist on the operator's machine only.
        let other: Vec<_> = found
            .iter()
            .filter(|fault| !fault.message.contains("No such file"))
            .collect();
        assert!(other.is_empty(), "{other:#?}");
        seen += 1;
    }
    assert!(seen >= 3, "config/ holds {seen} files");
}
