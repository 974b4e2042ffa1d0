//! Rust text without what a rule must not look at: comments, literals, and code that only tests compile.

/// `text` with the content of comments, strings and characters replaced by blanks; line numbers stay.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = blank_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|char| if *char == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` if none does.
fn blank_end(chars: &[char], at: usize) -> usize {
    let char = |index: usize| chars.get(index).copied().unwrap_or('\0');
    match (char(at), char(at + 1)) {
        ('/', '/') => find(chars, at, |index| char(index) == '\n'),
        ('/', '*') => block_comment_end(chars, at),
        ('"', _) => string_end(chars, at),
        ('\'', '\\') => (find(chars, at + 3, |index| char(index) == '\'') + 1).min(chars.len()),
        ('\'', _) if char(at + 2) == '\'' => at + 3,
        ('r', '"' | '#') if at == 0 || !is_word(char(at - 1)) || is_literal_prefix(chars, at - 1) => {
            let hashes = chars[at + 1..].iter().take_while(|char| **char == '#').count();
            if char(at + 1 + hashes) != '"' {
                return at; // a raw identifier
            }
            let is_end =
                |index: usize| char(index) == '"' && (1..=hashes).all(|hash| char(index + hash) == '#');
            (find(chars, at + 2 + hashes, is_end) + 1 + hashes).min(chars.len())
        }
        _ => at,
    }
}

/// The `b` or `c` of `br"..."` and `cr"..."`.
fn is_literal_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at], 'b' | 'c') && (at == 0 || !is_word(chars[at - 1]))
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut index) = (0, at);
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => (depth, index) = (depth + 1, index + 2),
            ('*', Some('/')) => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut index = at + 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    (index + 1).min(chars.len())
}

fn find(chars: &[char], from: usize, is_wanted: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|index| is_wanted(*index)).unwrap_or(chars.len())
}

pub(crate) fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// `code` with items under `#[cfg(test)]` replaced by blanks, and how many lines they had.
pub(crate) fn without_tests(code: &str) -> (String, usize) {
    const CFG_TEST: &str = "#[cfg(test)]";
    let (mut kept, mut lines, mut rest) = (String::with_capacity(code.len()), 0, code);
    while let Some(start) = rest.find(CFG_TEST) {
        let (before, item) = rest.split_at(start);
        let end = item_end(item, CFG_TEST.len());
        kept.push_str(before);
        kept.extend(item[..end].chars().map(|char| if char == '\n' { '\n' } else { ' ' }));
        lines += item[..end].matches('\n').count() + 1;
        rest = &item[end..];
    }
    kept.push_str(rest);
    (kept, lines)
}

/// Just behind the item that begins at `from`: its `;`, or the brace that closes its first one. Attributes go first.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (index, char) in code[from..].char_indices() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth -= 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return from + index + 1;
                }
            }
            ';' if depth == 0 => return from + index + 1,
            _ => {}
        }
    }
    code.len()
}

/// 1-based.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

#[test]
fn comments_and_literals_are_blank_and_code_is_not() {
    let check = |text: &str, expect: &str| {
        assert_eq!(code_of(text).split_whitespace().collect::<Vec<_>>().join(" "), expect, "{text}");
        assert_eq!(code_of(text).matches('\n').count(), text.matches('\n').count(), "{text}");
    };
    check("a // b\nc", "a c");
    check("a /* b /* c */ d */ e", "a e");
    check("f(\"x // y\\\" z\") + g", "f( ) + g");
    check("let c = '\"'; d", "let c = ; d");
    check("let c = '\\''; d", "let c = ; d");
    check("fn f<'a>(x: &'a str) -> &'a str { x }", "fn f<'a>(x: &'a str) -> &'a str { x }");
    check("r\"a\\\" b", "b");
    check("r#\"a \" b\"# c; br\"d\" e", "c; b e");
    check("for_r\"x\" y", "for_r y");
    check("r#type x", "r#type x");
    check("\"open", "");
    check("'\\", "");
}

#[test]
fn items_of_tests_are_blank_and_counted() {
    let check = |text: &str, expect: &str, lines: usize| {
        let (code, count) = without_tests(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expect, "{text}");
        assert_eq!(count, lines, "{text}");
    };
    check("a\n#[cfg(test)]\nmod tests {\n fn b() { c }\n}\nd", "a d", 4);
    check("a\n#[cfg(test)]\nmod tests;\nd", "a d", 2);
    check("#[cfg(test)]\n#[rustfmt::skip]\nconst A: [u8; 2] = [1; 2];\nd", "d", 3);
    check("fn a() {}", "fn a() {}", 0);
}
