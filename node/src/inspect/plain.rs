//! Text of other machines, as it may be shown: without anything that a terminal would obey, or that turns text around.

use serde_json::Value;

/// What stands for a character that is not shown.
const HIDDEN: char = '\u{fffd}';

/// The text with every control character replaced, line ends too.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|char| if is_shown(char) { char } else { HIDDEN }).collect()
}

fn is_shown(char: char) -> bool {
    // Marks of direction can make a text read as another one.
    let turns = matches!(char, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !char.is_control() && !turns
}

/// Every text in a value, keys too.
pub(super) fn plain_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(&text)),
        Value::Array(values) => values.into_iter().map(plain_value).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (plain(&name), plain_value(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let check = |text: &str, expect: &str| assert_eq!(plain(text), expect);
        check("processor, übermäßig ✓", "processor, übermäßig ✓");
        check("a\u{1b}[2Jb\nc\rd\te", "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e");
        check("\u{7f}\u{9b}31m\u{0}", "\u{fffd}\u{fffd}31m\u{fffd}");
        check("evil\u{202e}txt", "evil\u{fffd}txt");
        let value = json!({ "a\u{7}": ["\u{1b}", 1, null, { "b": "\u{8}" }] });
        assert_eq!(plain_value(value), json!({ "a\u{fffd}": ["\u{fffd}", 1, null, { "b": "\u{fffd}" }] }));
    }
}
