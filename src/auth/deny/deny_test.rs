use super::*;

fn author(name: &str) -> (DenyList, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let list = DenyList::default();
    list.keep(name, Some(folder.path().join("denied.json")))
        .unwrap();
    (list, folder)
}

fn wanted(fields: &str) -> Wanted {
    serde_json::from_str(fields).unwrap()
}

fn denies(list: &DenyList, token: &str, sub: &str, room: &str, address: &str) -> bool {
    list.denies(&Suspect {
        token,
        sub,
        room,
        address: address.parse().unwrap(),
    })
}

#[test]
fn all_that_an_entry_names_must_be_so() {
    let (list, _folder) = author("o");
    assert!(!denies(&list, "", "", "r", "192.0.2.7"));
    for entry in [
        r#"{"token":"t1"}"#,
        r#"{"sub":"u1"}"#,
        r#"{"sub":"u2","room":"r"}"#,
        r#"{"address":"192.0.2.7"}"#,
        r#"{"address":"2001:db8:1::/48","room":"r"}"#,
        r#"{"address":"198.51.100.9/24"}"#,
    ] {
        list.add(wanted(entry)).unwrap();
    }
    for (token, sub, room, address, expect) in [
        ("t1", "", "x", "203.0.113.1", true),
        ("t2", "", "x", "203.0.113.1", false),
        ("", "u1", "x", "203.0.113.1", true),
        ("", "u2", "r", "203.0.113.1", true),
        ("", "u2", "x", "203.0.113.1", false),
        ("", "", "x", "192.0.2.7", true),
        ("", "", "x", "::ffff:192.0.2.7", true),
        ("", "", "x", "192.0.2.8", false),
        ("", "", "r", "2001:db8:1:2::3", true),
        ("", "", "x", "2001:db8:1:2::3", false),
        ("", "", "x", "198.51.100.200", true),
    ] {
        let found = denies(&list, token, sub, room, address);
        assert_eq!(found, expect, "{token} {sub} {room} {address}");
    }
}

#[test]
fn entries_are_removed_and_end_by_themselves() {
    let (list, _folder) = author("o");
    let added = list.add(wanted(r#"{"sub":"u1"}"#)).unwrap();
    assert_eq!(added.unsaved, None);
    // The same again replaces it.
    let again = list
        .add(wanted(r#"{"sub":"u1","reason":"spam"}"#))
        .unwrap()
        .value;
    assert_eq!(list.entries().len(), 1);
    assert!(!list.remove(&added.value.id).unwrap().value);
    assert!(list.remove(&again.id).unwrap().value);
    assert!(!denies(&list, "", "u1", "r", "::1"));
    let entry = Wanted {
        sub: Some("u1".into()),
        seconds: Some(60),
        ..Wanted::default()
    };
    let entry = entry.entry(0).unwrap();
    assert!(entry.holds(59_999) && !entry.holds(60_000));
}

#[test]
fn what_names_nobody_is_refused() {
    let (list, _folder) = author("o");
    let fault = |fields: &str| list.add(wanted(fields)).unwrap_err().to_string();
    assert!(fault(r#"{"room":"r"}"#).contains("name a token"));
    assert!(fault(r#"{"sub":""}"#).contains("sub"));
    assert!(fault(r#"{"sub":"u","room":"a b"}"#).contains("room"));
    assert!(fault(r#"{"address":"everywhere"}"#).contains("address"));
    assert!(fault(r#"{"sub":"u","seconds":0}"#).contains("seconds"));
    assert!(serde_json::from_str::<Wanted>(r#"{"user":"u"}"#).is_err());
    let edge = DenyList::default();
    assert_eq!(edge.add(wanted(r#"{"sub":"u"}"#)), Err(Fault::NoAuthor));
    let full = (0..1000).find_map(|n| list.add(wanted(&format!(r#"{{"sub":"u{n}"}}"#))).err());
    assert!(matches!(full, Some(Fault::Full { .. })));
}

#[test]
fn list_outlives_its_process_and_a_broken_file_is_left_alone() {
    let (list, folder) = author("o");
    list.add(wanted(r#"{"sub":"u1"}"#)).unwrap();
    let path = folder.path().join("denied.json");
    let again = DenyList::default();
    again.keep("o", Some(path.clone())).unwrap();
    assert_eq!(again.entries(), list.entries());
    std::fs::write(&path, "half a li").unwrap();
    assert!(DenyList::default().keep("o", Some(path.clone())).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"half a li");
}

#[test]
fn nodes_below_deny_what_any_author_denies() {
    let ((one, _folder), (two, _other)) = (author("one"), author("two"));
    let edge = DenyList::default();
    let learn = |list: &DenyList| edge.learn(&list.policy().borrow()).unwrap();
    one.add(wanted(r#"{"sub":"u1"}"#)).unwrap();
    let entry = two.add(wanted(r#"{"sub":"u2"}"#)).unwrap().value;
    let before = two.policy().borrow().clone();
    learn(&one);
    learn(&two);
    assert!(denies(&edge, "", "u1", "r", "::1") && denies(&edge, "", "u2", "r", "::1"));
    // An edge below the edge hears of both.
    let below = DenyList::default();
    below.learn(&edge.policy().borrow()).unwrap();
    assert!(denies(&below, "", "u1", "r", "::1") && denies(&below, "", "u2", "r", "::1"));
    two.remove(&entry.id).unwrap();
    learn(&two);
    assert!(!denies(&edge, "", "u2", "r", "::1") && denies(&edge, "", "u1", "r", "::1"));
    // A parent that lags changes nothing.
    edge.learn(&before).unwrap();
    assert!(!denies(&edge, "", "u2", "r", "::1"));
    let mut policy = edge.policy();
    policy.mark_unchanged();
    learn(&one);
    assert!(!policy.has_changed().unwrap());
}

#[test]
fn nonsense_from_a_parent_is_refused() {
    let edge = DenyList::default();
    for policy in [
        "",
        "7",
        r#"{"denied":{"o":{"version":1,"entries":[{"id":1}]}}}"#,
    ] {
        assert!(edge.learn(policy.as_bytes()).is_err(), "{policy}");
    }
    assert_eq!(edge.learn(br#"{"later":1}"#), Ok(()));
    let authors = (0..9).map(|n| format!(r#""o{n}":{{"version":1,"entries":[]}}"#));
    let authors: Vec<String> = authors.collect();
    let policy = format!(r#"{{"denied":{{{}}}}}"#, authors.join(","));
    assert!(edge.learn(policy.as_bytes()).is_err());
}
