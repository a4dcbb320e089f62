//! Lines over time as SVG.

use crate::report::text::number;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 22.0;
/// The most points of a line; longer ones are thinned to the greatest of each stretch.
const POINTS_MAX: usize = 560;
/// Told apart in any light and by most eyes (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6b6b", "#7a5195",
];

/// A picture of some lines.
pub(super) struct Plot {
    /// What it shows, with the unit.
    pub(super) title: String,
    /// A line that must not be crossed.
    pub(super) limit: Option<f64>,
    /// Names and values, one a second.
    pub(super) lines: Vec<(String, Vec<Option<f64>>)>,
}

impl Plot {
    /// The picture; empty when there is nothing in it. `marks`: when something happened, in
    /// seconds.
    pub(super) fn svg(&self, marks: &[f64]) -> String {
        let values = self
            .lines
            .iter()
            .flat_map(|(_, values)| values.iter().flatten());
        let most = values.copied().fold(f64::NAN, f64::max);
        let seconds = self
            .lines
            .iter()
            .map(|(_, values)| values.len())
            .max()
            .unwrap_or(0);
        if most.is_nan() || seconds < 2 {
            return String::new();
        }
        // A limit far above is only told.
        let shown = self.limit.filter(|limit| *limit <= most * 4.0);
        let top = ceiling(most.max(shown.unwrap_or(0.0)));
        let last = (seconds - 1) as f64;
        let x = |second: f64| LEFT + second / last * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">",
            escape(&self.title)
        );
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let (y, text) = (y(value), number(value));
            svg += &format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0
            );
            let second = (last * f64::from(step) / 4.0).round();
            let anchor = ["start", "middle", "middle", "middle", "end"][step as usize];
            svg += &format!(
                "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{second:.0} s</text>",
                x(second),
                HEIGHT - 6.0
            );
        }
        for mark in marks.iter().filter(|mark| **mark <= last) {
            let x = x(*mark);
            svg += &format!(
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.0}\"/>",
                HEIGHT - BOTTOM
            );
        }
        if let Some(limit) = shown {
            let y = y(limit);
            svg += &format!(
                "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                WIDTH - RIGHT
            );
        }
        for ((_, values), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let path = path(values, x, y);
            svg += &format!("<path d=\"{path}\" stroke=\"{colour}\"/>");
        }
        svg + "</svg>" + &self.key() + "</figure>"
    }

    /// What each colour is.
    fn key(&self) -> String {
        let mut key = String::from("<p class=\"key\">");
        for ((name, _), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let name = escape(name);
            key += &format!("<span><i style=\"background:{colour}\"></i>{name}</span> ");
        }
        if let Some(limit) = self.limit {
            key += &format!("<span><i class=\"limit\"></i>gate {}</span>", number(limit));
        }
        key + "</p>"
    }
}

/// A line with a hole where there is no value; long ones keep the greatest value of a stretch.
fn path(values: &[Option<f64>], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let stretch = values.len().div_ceil(POINTS_MAX).max(1);
    let (mut path, mut drawn) = (String::new(), false);
    for (index, some) in values.chunks(stretch).enumerate() {
        let most = some.iter().flatten().copied().fold(f64::NAN, f64::max);
        if most.is_nan() {
            drawn = false;
            continue;
        }
        let letter = if drawn { 'L' } else { 'M' };
        let (x, y) = (x((index * stretch) as f64), y(most));
        path += &format!("{letter}{x:.1} {y:.1}");
        if !drawn {
            // A lone point is seen too.
            path += "h.1";
        }
        drawn = true;
    }
    path
}

/// The next round number.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let base = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * base >= value * 0.999);
    step.unwrap_or(10.0) * base
}

/// Text inside a page.
pub(super) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_stay_holes_and_scales_are_round() {
        let values = [Some(1.0), None, Some(3.0), Some(2.0)];
        assert_eq!(
            path(&values, |x| x, |y| y),
            "M0.0 1.0h.1M2.0 3.0h.1L3.0 2.0"
        );
        assert_eq!(
            [ceiling(0.0), ceiling(73.0), ceiling(1200.0)],
            [1.0, 80.0, 1500.0]
        );
    }

    #[test]
    fn long_lines_keep_their_peaks() {
        let mut values = vec![Some(1.0); 10_000];
        values[7777] = Some(9.0);
        let path = path(&values, |x| x, |y| y);
        assert!(path.contains(" 9.0") && path.len() < 9000, "{}", path.len());
    }
}
