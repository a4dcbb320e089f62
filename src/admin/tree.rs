//! A tree of nodes out of their reports: each report holds those of the children below it.
//!
//! Pure. Invariants: a node never stands below itself, whatever children tell; the tree that goes
//! up a link fits into one report.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A report, which is an object.
pub(super) type Report = Map<String, Value>;

/// Levels below a node. 8: origin, regions, cities and edges, twice over.
const DEPTH_MAX: usize = 8;
/// What stays of a node when there is no room for all of it.
const ESSENCE: &[&str] = &[
    "name", "role", "version", "ready", "drain", "level", "viewers", "members", "link",
];

/// A child as its link knows it, and what it tells of itself.
#[derive(Debug)]
pub(super) struct Child {
    /// Its name, as its certificate let it in.
    pub(super) name: Arc<str>,
    /// The link to it.
    pub(super) link: Value,
    /// Its report; `None` when it gives none.
    pub(super) report: Option<Bytes>,
}

/// Puts `children` below `own`.
pub(super) fn nest(own: &mut Report, mut children: Vec<Child>) {
    let name = own.get("name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let mut above = vec![name.clone()];
    children.sort_by(|a, b| a.name.cmp(&b.name));
    children.dedup_by(|a, b| a.name == b.name);
    let nested: Vec<Value> = children
        .into_iter()
        .filter(|child| *child.name != *name)
        .map(|child| grown(child, &mut above))
        .collect();
    own.insert("children".into(), nested.into());
}

fn grown(child: Child, above: &mut Vec<String>) -> Value {
    let told = child.report.as_deref().map(serde_json::from_slice);
    let mut report: Report = match told {
        Some(Ok(report)) => report,
        Some(Err(_)) | None => Map::from_iter([("silent".to_owned(), Value::Bool(true))]),
    };
    report.insert("name".into(), Value::from(&*child.name));
    report.insert("link".into(), child.link);
    prune(&mut report, above);
    Value::Object(report)
}

/// Takes out what stands above `report` already, and what is too deep.
fn prune(report: &mut Report, above: &mut Vec<String>) {
    let name = report.get("name").and_then(Value::as_str);
    above.push(name.unwrap_or_default().to_owned());
    if let Some(Value::Array(children)) = report.get_mut("children") {
        let is_new = |child: &Value| {
            let name = child.get("name").and_then(Value::as_str);
            name.is_some_and(|name| !above.iter().any(|other| other == name))
        };
        children.retain(|child| above.len() < DEPTH_MAX && is_new(child));
        for child in children.iter_mut().filter_map(Value::as_object_mut) {
            prune(child, above);
        }
    }
    above.pop();
}

/// `tree` as JSON of at most `bytes_max`. What does not fit is left out in this order, and
/// counted: rooms of nodes below, own rooms, all but the essence of nodes below, nodes below.
pub(super) fn fit(mut tree: Report, bytes_max: usize) -> Bytes {
    let steps: [fn(&mut Report); 4] = [
        |tree| each_below(tree, &mut |node| leave_out(node, "rooms")),
        |tree| leave_out(tree, "rooms"),
        |tree| each_below(tree, &mut |node| node.retain(|key, _| is_essential(key))),
        |tree| leave_out(tree, "children"),
    ];
    let mut json = encode(&tree);
    for step in steps {
        if json.len() <= bytes_max {
            break;
        }
        step(&mut tree);
        json = encode(&tree);
    }
    json
}

fn is_essential(key: &str) -> bool {
    key == "children" || key.ends_with("_left_out") || ESSENCE.contains(&key)
}

fn each_below(node: &mut Report, change: &mut dyn FnMut(&mut Report)) {
    let Some(Value::Array(children)) = node.get_mut("children") else {
        return;
    };
    for child in children.iter_mut().filter_map(Value::as_object_mut) {
        change(child);
        each_below(child, change);
    }
}

/// Empties the list at `key` and adds its length to `KEY_left_out`.
fn leave_out(node: &mut Report, key: &str) {
    let Some(Value::Array(list)) = node.get_mut(key) else {
        return;
    };
    let count = std::mem::take(list).len() as u64;
    let known = format!("{key}_left_out");
    let before = node.get(&known).and_then(Value::as_u64).unwrap_or(0);
    node.insert(known, json!(before + count));
}

/// A report as it travels.
pub(super) fn encode(report: &Report) -> Bytes {
    let json = serde_json::to_vec(report).expect("a report has text keys only");
    Bytes::from(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, children: &[Value]) -> Value {
        json!({ "name": name, "rooms": [{ "room": "a" }, { "room": "b" }], "children": children })
    }

    fn own(name: &str, children: Vec<(&str, Option<Value>)>) -> Report {
        let mut report = node(name, &[]).as_object().unwrap().clone();
        let children = children.into_iter().map(|(name, report)| Child {
            name: name.into(),
            link: json!({ "rtt_us": 80 }),
            report: report.map(|report| Bytes::from(report.to_string())),
        });
        nest(&mut report, children.collect());
        report
    }

    fn names(children: &Value) -> Vec<&str> {
        let children = children.as_array().unwrap();
        children
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn children_stand_below_with_their_links() {
        let told = node("edge-2", &[node("edge-3", &[])]);
        let tree = own("origin", vec![("edge-2", Some(told)), ("edge-1", None)]);
        assert_eq!(names(&tree["children"]), ["edge-1", "edge-2"]);
        assert_eq!(tree["children"][0]["silent"], true);
        assert_eq!(tree["children"][1]["link"]["rtt_us"], 80);
        assert_eq!(names(&tree["children"][1]["children"]), ["edge-3"]);
    }

    #[test]
    fn a_child_cannot_take_another_name_or_stand_above_its_parent() {
        let told = node("origin", &[node("origin", &[]), node("edge-1", &[])]);
        let tree = own("origin", vec![("edge-1", Some(told))]);
        assert_eq!(names(&tree["children"]), ["edge-1"]);
        assert_eq!(names(&tree["children"][0]["children"]), [""; 0]);
    }

    #[test]
    fn a_report_that_is_no_object_counts_as_none() {
        let tree = own("origin", vec![("edge-1", Some(json!(["lies"])))]);
        assert_eq!(tree["children"][0]["silent"], true);
    }

    #[test]
    fn deep_trees_end() {
        let mut told = node("n40", &[]);
        for level in (0..40).rev() {
            told = node(&format!("n{level}"), &[told]);
        }
        let tree = own("origin", vec![("n0", Some(told))]);
        let (mut depth, mut at) = (0, &tree["children"][0]);
        while at["children"][0].is_object() {
            (depth, at) = (depth + 1, &at["children"][0]);
        }
        assert!(depth < DEPTH_MAX, "{depth}");
    }

    #[test]
    fn what_does_not_fit_is_left_out_in_order_and_counted() {
        let told = node("edge-1", &[node("edge-2", &[])]);
        let tree = own("origin", vec![("edge-1", Some(told))]);
        let whole = fit(tree.clone(), usize::MAX);
        let fitted = |bytes_max| -> Value {
            let json = fit(tree.clone(), bytes_max);
            serde_json::from_slice(&json).unwrap()
        };
        let first = fitted(whole.len() - 1);
        assert_eq!(first["rooms"].as_array().unwrap().len(), 2);
        assert_eq!(first["children"][0]["children"][0]["rooms_left_out"], 2);
        let last = fitted(0);
        assert_eq!(last["rooms_left_out"], 2);
        assert_eq!(last["children_left_out"], 1);
    }
}
