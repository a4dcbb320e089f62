//! One HTML file that needs nothing else: what a person reads before the sale.

use crate::report::plot::{Plot, escape};
use crate::report::text::number;
use crate::report::{Group, Node, Own, Report, Second, Verdict};
use crate::scrape::Look;

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn page(report: &Report) -> String {
    let class = match report.verdict {
        Verdict::Go => "go",
        Verdict::NoGo => "nogo",
        Verdict::None => "none",
    };
    let name = escape(&report.scenario.name);
    let word = report.verdict.word();
    let reasons: String = report
        .reasons
        .iter()
        .map(|r| format!("<li>{}</li>", escape(r)))
        .collect();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{word}: {name}</title><style>{STYLE}</style>\
         <header class=\"{class}\"><h1>{word}</h1><div><p><b>{name}</b>, {:.0} s</p>\
         <p>{}</p><p>Binds first: {}</p><ul>{reasons}</ul></div></header><main>",
        report.seconds,
        escape(&report.scenario.summary()),
        escape(&report.binds_first),
    );
    gates(&mut page, report);
    plots(&mut page, report);
    let measured = |group: &&Group| !(group.times.is_empty() && group.counts.is_empty());
    for group in report.groups.iter().filter(measured) {
        figures(&mut page, group);
    }
    for (title, lines) in [("Capacity", report.costs()), ("Workers", report.clocks())] {
        let lines: String = lines
            .iter()
            .map(|l| format!("<li>{}</li>", escape(l)))
            .collect();
        if !lines.is_empty() {
            page += &format!("<section><h2>{title}</h2><ul>{lines}</ul></section>");
        }
    }
    if let Some(books) = report.books {
        page += &format!(
            "<section><h2>Books</h2><p>{} orders have receipts; {} of them are not in the fleet's \
             book, {} stand in it as other orders.</p></section>",
            books.acknowledged, books.lost, books.changed
        );
    }
    page += &format!(
        "<section><h2>Scenario</h2><pre>{}</pre></section></main></html>",
        escape(&toml::to_string(&report.scenario).unwrap_or_default())
    );
    page
}

fn gates(page: &mut String, report: &Report) {
    *page += "<section><h2>Gates</h2><table><tr><th>gate<th>measured<th>at most<th>whose\
              <th>formula</tr>";
    for gate in &report.gates {
        let (class, value) = match gate.value {
            None => ("none", "not measured".to_owned()),
            Some(value) if gate.holds() => ("go", number(value)),
            Some(value) => ("nogo", number(value)),
        };
        *page += &format!(
            "<tr class=\"{class}\"><td>{}<td class=\"n\">{value}\
             <td class=\"n\">{}<td>{}<td>{}</tr>",
            gate.name,
            number(gate.limit),
            escape(&gate.whose),
            escape(gate.formula)
        );
    }
    *page += "</table></section>";
}

fn plots(page: &mut String, report: &Report) {
    let marks: Vec<f64> = report.events.iter().map(|event| event.at_seconds).collect();
    *page += "<section><h2>Over time</h2>";
    for event in &report.events {
        let what = escape(&event.what);
        *page += &format!("<p class=\"event\">{:.1} s: {what}</p>", event.at_seconds);
    }
    *page += "<div class=\"plots\">";
    for plot in all(report) {
        *page += &plot.svg(&marks);
    }
    *page += "</div></section>";
}

/// A line for each group of what `of` finds in its seconds; groups without any have none.
fn by_group(
    report: &Report,
    more: &str,
    of: impl Fn(&Second) -> Option<f64>,
) -> Vec<(String, Vec<Option<f64>>)> {
    let line = |group: &Group| {
        let values: Vec<Option<f64>> = group.seconds.iter().map(&of).collect();
        let named = (format!("{}{more}", group.name), values);
        named
            .1
            .iter()
            .any(|value| value.is_some_and(|v| v != 0.0))
            .then_some(named)
    };
    report.groups.iter().filter_map(line).collect()
}

fn plot(title: &str, limit: Option<f64>, lines: Vec<(String, Vec<Option<f64>>)>) -> Plot {
    Plot {
        title: title.to_owned(),
        limit,
        lines,
    }
}

fn all(report: &Report) -> Vec<Plot> {
    let mut plots = seen(report);
    plots.extend(served(report));
    plots
}

/// What the groups saw.
fn seen(report: &Report) -> Vec<Plot> {
    let gates = &report.scenario.gates;
    let groups = |of: &dyn Fn(&Second) -> Option<f64>| by_group(report, "", of);
    let count = |value: i64| Some(value as f64);
    let mut live = by_group(report, " p50", |s| s.live_ms.map(|ms| ms[0]));
    live.extend(by_group(report, " p95", |s| s.live_ms.map(|ms| ms[1])));
    let present = groups(&|s| count(s.present));
    let bits = groups(&|s| Some(s.bytes as f64 * 8e-6));
    let [wake, comment, ack] = [gates.wake_p99_ms, gates.comment_p95_ms, gates.ack_p99_ms];
    vec![
        plot("viewers and members present", None, present),
        plot("live delay, ms", Some(gates.live_p95_ms), live),
        plot(
            "playlist wake-up p99, ms",
            Some(wake),
            groups(&|s| s.wake_p99_ms),
        ),
        plot("stalls a second", None, groups(&|s| count(s.stalls))),
        plot("errors a second", None, groups(&|s| count(s.errors))),
        plot("Mbit/s received", None, bits),
        plot(
            "comments p95, ms",
            Some(comment),
            groups(&|s| s.comment_p95_ms),
        ),
        plot(
            "orders acknowledged a second",
            None,
            groups(&|s| count(s.orders)),
        ),
        plot("orders p99, ms", Some(ack), groups(&|s| s.ack_p99_ms)),
    ]
}

/// What it cost the nodes, and this machine.
fn served(report: &Report) -> Vec<Plot> {
    let nodes = |of: &dyn Fn(&Look) -> f64| {
        let line = |node: &Node| {
            let values = node.seconds.iter().map(|look| look.as_ref().map(of));
            (node.name.clone(), values.collect())
        };
        report.nodes.iter().map(line).collect::<Vec<_>>()
    };
    let own = |of: &dyn Fn(&Own) -> f64| {
        let line = |name: &str, seconds: &[Own]| {
            let values = seconds.iter().map(|look| Some(of(look)));
            (name.to_owned(), values.collect())
        };
        let own = line("load machine", &report.machine);
        let workers = report.workers.iter();
        let workers = workers.map(|worker| line(&worker.name, &worker.seconds));
        [own].into_iter().chain(workers).collect::<Vec<_>>()
    };
    let most = |look: &Look| look.budgets.values().copied().fold(0.0, f64::max);
    let mut cores = nodes(&|look| look.cores);
    cores.extend(own(&|own| own.look.own_cores));
    let (budget, lag) = (
        report.scenario.gates.budget_spent,
        report.scenario.machine.lag_p99_ms,
    );
    let late = own(&|own| own.lag_p99_ms);
    vec![
        plot(
            "budget spent furthest, 1 is all",
            Some(budget),
            nodes(&most),
        ),
        plot("cores in use", None, cores),
        plot("memory, MB", None, nodes(&|look| look.memory_bytes / 1e6)),
        plot("open descriptors", None, nodes(&|look| look.sockets)),
        plot("how late the load began, p99 ms", Some(lag), late),
    ]
}

fn figures(page: &mut String, group: &Group) {
    *page += &format!("<section><h2>{}</h2>", escape(&group.name));
    if !group.times.is_empty() {
        *page += "<table><tr><th>time, ms<th>samples<th>p50<th>p95<th>p99<th>max</tr>";
        for (name, samples, times) in &group.times {
            let cells: String = times
                .iter()
                .map(|ms| format!("<td class=\"n\">{}", number(*ms)))
                .collect();
            *page += &format!(
                "<tr><td>{}<td class=\"n\">{samples}{cells}</tr>",
                escape(name)
            );
        }
        *page += "</table>";
    }
    *page += "<p class=\"counts\">";
    for (name, count) in &group.counts {
        *page += &format!("<span>{} <b>{count}</b></span> ", escape(name));
    }
    *page += "</p></section>";
}
