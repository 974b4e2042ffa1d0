//! A flame graph: each frame a box as wide as its share of time, above whoever called it. One file without a script.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{HERTZ, Profile};

const WIDTH: f64 = 1200.0;
const ROW: f64 = 16.0;

/// Above the boxes.
const HEAD: f64 = 40.0;

/// Narrower boxes are left out: nobody could see them.
const WIDTH_MIN: f64 = 0.3;

/// Pixels of a letter.
const LETTER: f64 = 6.6;

/// A frame, and what it called.
#[derive(Default)]
struct Box {
    count: u64,
    called: BTreeMap<String, Box>,
}

impl Box {
    fn add(&mut self, stack: &[String], count: u64) {
        self.count += count;
        if let Some((first, rest)) = stack.split_first() {
            self.called.entry(first.clone()).or_default().add(rest, count);
        }
    }

    fn depth(&self) -> usize {
        self.called.values().map(|called| 1 + called.depth()).max().unwrap_or(0)
    }
}

/// The picture.
pub(super) fn svg(profile: &Profile) -> String {
    let mut root = Box::default();
    for (stack, count) in &profile.stacks {
        root.add(stack, *count);
    }
    let height = HEAD + ROW * (root.depth() + 1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fffdf5\"/>\n\
         <text x=\"8\" y=\"24\" font-size=\"14\">{} samples, {HERTZ} a second and core, in {} s</text>\n",
        root.count, profile.seconds
    );
    let scale = WIDTH / root.count.max(1) as f64;
    draw(&mut out, "all", &root, (0.0, 0), (scale, root.count.max(1), height));
    out.push_str("</svg>\n");
    out
}

/// Draws a box from `left` on in its row, and what it called above it.
fn draw(out: &mut String, name: &str, frame: &Box, (left, row): (f64, usize), of: (f64, u64, f64)) {
    let (scale, all, height) = of;
    let width = frame.count as f64 * scale;
    if width < WIDTH_MIN {
        return;
    }
    let y = height - ROW * (row + 1) as f64;
    let name = escaped(name);
    let share = 100.0 * frame.count as f64 / all as f64;
    let _ = write!(
        out,
        "<g><title>{name}: {} samples, {share:.1} %</title><rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{:.1}\" fill=\"{}\" rx=\"1\"/>",
        frame.count,
        ROW - 1.0,
        colour(&name)
    );
    let letters = (width / LETTER) as usize;
    if letters >= 4 {
        let shown: String = name_within(&name, letters);
        let _ = write!(out, "<text x=\"{:.1}\" y=\"{:.1}\">{shown}</text>", left + 2.0, y + ROW - 5.0);
    }
    out.push_str("</g>\n");
    let mut left = left;
    for (name, called) in &frame.called {
        draw(out, name, called, (left, row + 1), of);
        left += called.count as f64 * scale;
    }
}

/// The end of a path says more than its beginning. Cut before it is escaped would be wrong: half an entity is no text.
fn name_within(escaped: &str, letters: usize) -> String {
    if escaped.contains('&') || escaped.chars().count() <= letters {
        return if escaped.chars().count() <= letters { escaped.to_owned() } else { String::new() };
    }
    let cut = escaped.chars().count() - (letters - 2);
    format!("..{}", escaped.chars().skip(cut).collect::<String>())
}

/// Names of functions have angle brackets.
fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The same for the same name: warm for others' code, cool for our own.
fn colour(name: &str) -> String {
    let hash = name.bytes().fold(17u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let hue = if name.contains("orrery") { 190 + hash % 40 } else { 20 + hash % 35 };
    format!("hsl({hue},70%,{}%)", 62 + hash / 64 % 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_as_wide_as_its_share_and_stands_on_its_caller() {
        let stack = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let stacks = [(stack(&["worker", "a<b>", "c"]), 3), (stack(&["worker", "d"]), 1)];
        let picture = svg(&Profile { stacks: stacks.into(), seconds: 2 });
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        let check = |title: &str, place: &str| {
            let expect = format!("<title>{title}</title><rect {place}");
            assert!(picture.contains(&expect), "{expect}\n{picture}");
        };
        check("all: 4 samples, 100.0 %", "x=\"0.0\" y=\"88.0\" width=\"1200.0\"");
        check("a&lt;b&gt;: 3 samples, 75.0 %", "x=\"0.0\" y=\"56.0\" width=\"900.0\"");
        check("c: 3 samples, 75.0 %", "x=\"0.0\" y=\"40.0\" width=\"900.0\"");
        check("d: 1 samples, 25.0 %", "x=\"900.0\" y=\"56.0\" width=\"300.0\"");
    }

    #[test]
    fn nothing_seen_is_a_picture_too() {
        assert!(svg(&Profile::default()).contains("0 samples"));
    }
}
