//! Reading a path: tokens, then a tree by descent.
use super::{Item, Method, Operation, Path, Step};
use crate::error::{PgError, PgResult, sqlstate};
use crate::numeric::Numeric;

const DEPTH_MAX: usize = 200;

#[derive(Clone, PartialEq, Debug)]
enum Token {
    /// A bare word: a key, or a word of the language.
    Word(String),
    /// In quotes.
    Text(String),
    Variable(String),
    Number(Numeric),
    Sign(&'static str),
    End,
}

fn syntax_error(message: String) -> Box<PgError> {
    PgError::new(sqlstate::SYNTAX_ERROR, message)
}

const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<>", "<=", ">=", "**", "!", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", "[", "]",
    "{", "}", ".", ",", "?", "@", "$",
];

fn is_special(ch: char) -> bool {
    "?%$.[]{}()|&!=<>@#,*:-+/\\\"".contains(ch) || ch.is_ascii_whitespace()
}

/// Tokens, each with its text.
fn tokens(text: &str) -> PgResult<Vec<(Token, String)>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|ch: char| ch.is_ascii_whitespace());
        let Some(first) = rest.chars().next() else { break };
        if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment
                .find("*/")
                .ok_or_else(|| syntax_error("unexpected end of comment at end of jsonpath input".to_string()))?;
            rest = &comment[end + 2..];
            continue;
        }
        let (token, length) = if first == '"' {
            let (text, length) = quoted(rest)?;
            (Token::Text(text), length)
        } else if first == '$' && rest[1..].starts_with('"') {
            let (text, length) = quoted(&rest[1..])?;
            (Token::Variable(text), length + 1)
        } else if first == '$' && rest[1..].starts_with(|ch: char| !is_special(ch)) {
            let (name, length) = bare(&rest[1..])?;
            (Token::Variable(name), length + 1)
        } else if first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|ch: char| ch.is_ascii_digit()) {
            number(rest)?
        } else if let Some(sign) = SIGNS.iter().copied().find(|sign| rest.starts_with(*sign)) {
            (Token::Sign(sign), sign.len())
        } else if is_special(first) && first != '\\' {
            return Err(syntax_error(format!("syntax error at or near \"{first}\" of jsonpath input")));
        } else {
            let (name, length) = bare(rest)?;
            (Token::Word(name), length)
        };
        tokens.push((token, rest[..length].to_string()));
        rest = &rest[length..];
    }
    tokens.push((Token::End, String::new()));
    Ok(tokens)
}

fn number(text: &str) -> PgResult<(Token, usize)> {
    let digits = |from: usize| text[from..].find(|ch: char| !ch.is_ascii_digit()).map_or(text.len(), |at| from + at);
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        if text[end + 1 + sign..].starts_with(|ch: char| ch.is_ascii_digit()) {
            end = digits(end + 1 + sign);
        }
    }
    if text[end..].starts_with(|ch: char| !is_special(ch)) {
        let junk = end + text[end..].chars().next().map_or(0, char::len_utf8);
        let message = format!("trailing junk after numeric literal at or near \"{}\" of jsonpath input", &text[..junk]);
        return Err(syntax_error(message));
    }
    let value = Numeric::parse(&text[..end]).ok_or_else(|| PgError::internal("digits are a number"))??;
    Ok((Token::Number(value), end))
}

/// A word without quotes, in which a backslash escapes.
fn bare(text: &str) -> PgResult<(String, usize)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(ch) = rest.chars().next() {
        if ch == '\\' {
            rest = escape(&rest[1..], &mut out)?;
        } else if is_special(ch) {
            break;
        } else {
            out.push(ch);
            rest = &rest[ch.len_utf8()..];
        }
    }
    Ok((out, text.len() - rest.len()))
}

fn quoted(text: &str) -> PgResult<(String, usize)> {
    let mut out = String::new();
    let mut rest = &text[1..];
    loop {
        match rest.chars().next() {
            None => {
                let message = "unexpected end of quoted string at end of jsonpath input";
                return Err(syntax_error(message.to_string()));
            }
            Some('"') => return Ok((out, text.len() - rest.len() + 1)),
            Some('\\') => rest = escape(&rest[1..], &mut out)?,
            Some(ch) => {
                out.push(ch);
                rest = &rest[ch.len_utf8()..];
            }
        }
    }
}

/// What a backslash begins; gives what follows.
fn escape<'t>(text: &'t str, out: &mut String) -> PgResult<&'t str> {
    let bad = || syntax_error("invalid Unicode escape sequence at or near \"\\\" of jsonpath input".to_string());
    let mut chars = text.chars();
    let ch = chars
        .next()
        .ok_or_else(|| syntax_error("unexpected end after backslash at end of jsonpath input".to_string()))?;
    let plain = match ch {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' | 'u' => {
            let hexadecimal = |text: &'t str| -> PgResult<(u32, &'t str)> {
                let (digits, rest) = match (ch, text.strip_prefix('{')) {
                    ('u', Some(braced)) => braced.split_once('}').ok_or_else(bad)?,
                    ('u', None) => text.split_at_checked(4).ok_or_else(bad)?,
                    _ => text.split_at_checked(2).ok_or_else(bad)?,
                };
                Ok((u32::from_str_radix(digits, 16).map_err(|_| bad())?, rest))
            };
            let (mut code, mut rest) = hexadecimal(&text[1..])?;
            if (0xd800..0xdc00).contains(&code) {
                let (low, after) = hexadecimal(rest.strip_prefix("\\u").ok_or_else(bad)?)?;
                code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                rest = after;
            }
            out.push(char::from_u32(code).filter(|ch| *ch != '\0').ok_or_else(bad)?);
            return Ok(rest);
        }
        other => other,
    };
    out.push(plain);
    Ok(chars.as_str())
}

pub(super) fn parse(text: &str) -> PgResult<Path> {
    let tokens = tokens(text)?;
    if tokens.len() == 1 {
        return Err(crate::text::invalid_syntax("jsonpath", text));
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, filters: 0, subscripts: 0 };
    let strict = parser.word("strict");
    if !strict {
        parser.word("lax");
    }
    let item = parser.disjunction()?;
    parser.expect_end()?;
    Ok(Path { strict, item })
}

struct Parser {
    tokens: Vec<(Token, String)>,
    at: usize,
    depth: usize,
    /// Filters and subscripts around this place: what `@` and `last` need.
    filters: usize,
    subscripts: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }
    fn sign(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.at += usize::from(there);
        there
    }
    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }
    fn word(&mut self, word: &str) -> bool {
        let there = self.is_word(word);
        self.at += usize::from(there);
        there
    }
    fn expect(&mut self, sign: &str) -> PgResult<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }
    fn expect_end(&self) -> PgResult<()> {
        if *self.peek() == Token::End { Ok(()) } else { Err(self.unexpected()) }
    }
    fn unexpected(&self) -> Box<PgError> {
        // The grammar looks at a word only once it knows what follows.
        let near = match self.peek() {
            Token::Word(_) if self.at + 1 < self.tokens.len() => &self.tokens[self.at + 1].1,
            _ => &self.tokens[self.at].1,
        };
        syntax_error(match near.as_str() {
            "" => "syntax error at end of jsonpath input".to_string(),
            near => format!("syntax error at or near \"{near}\" of jsonpath input"),
        })
    }
    fn predicate(&self, item: Item) -> PgResult<Box<Item>> {
        if item.is_predicate() { Ok(Box::new(item)) } else { Err(self.unexpected()) }
    }
    fn value(&self, item: Item) -> PgResult<Box<Item>> {
        if item.is_predicate() { Err(self.unexpected()) } else { Ok(Box::new(item)) }
    }

    fn disjunction(&mut self) -> PgResult<Item> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let mut left = self.conjunction()?;
        while self.sign("||") {
            let first = self.predicate(left)?;
            let right = self.conjunction()?;
            left = Item::Binary(Operation::Or, first, self.predicate(right)?);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> PgResult<Item> {
        let mut left = self.comparison()?;
        while self.sign("&&") {
            let first = self.predicate(left)?;
            let right = self.comparison()?;
            left = Item::Binary(Operation::And, first, self.predicate(right)?);
        }
        Ok(left)
    }

    fn comparison(&mut self) -> PgResult<Item> {
        const COMPARISONS: [(&str, Operation); 8] = [
            ("==", Operation::Equal),
            ("=", Operation::Equal),
            ("!=", Operation::NotEqual),
            ("<>", Operation::NotEqual),
            ("<=", Operation::LessOrEqual),
            (">=", Operation::GreaterOrEqual),
            ("<", Operation::Less),
            (">", Operation::Greater),
        ];
        if self.sign("!") {
            let inside = self.primary()?;
            return Ok(Item::Not(self.predicate(inside)?));
        }
        let left = self.sum()?;
        for (sign, operation) in COMPARISONS {
            if self.sign(sign) {
                let left = self.value(left)?;
                let right = self.sum()?;
                return Ok(Item::Binary(operation, left, self.value(right)?));
            }
        }
        if self.word("starts") {
            if !self.word("with") {
                return Err(self.unexpected());
            }
            let left = self.value(left)?;
            let prefix = match self.peek().clone() {
                Token::Text(text) => Item::String(text),
                Token::Variable(name) => Item::Variable(name),
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
            return Ok(Item::Binary(Operation::StartsWith, left, Box::new(prefix)));
        }
        if self.word("like_regex") {
            let operand = self.value(left)?;
            return self.like_regex(operand);
        }
        Ok(left)
    }

    fn text(&mut self) -> PgResult<String> {
        match self.peek().clone() {
            Token::Text(text) => {
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn like_regex(&mut self, operand: Box<Item>) -> PgResult<Item> {
        let pattern = self.text()?;
        let given = if self.word("flag") { self.text()? } else { String::new() };
        if let Some(unknown) = given.chars().find(|flag| !"ismxq".contains(*flag)) {
            let error = PgError::new(sqlstate::SYNTAX_ERROR, "invalid input syntax for type jsonpath");
            return Err(error.detail(format!("Unrecognized flag character \"{unknown}\" in LIKE_REGEX predicate.")));
        }
        let flags: String = "ismxq".chars().filter(|flag| given.contains(*flag)).collect();
        crate::are::compiled(&pattern, super::run::regex_options(&flags)?)?;
        Ok(Item::LikeRegex { operand, pattern, flags })
    }

    fn sum(&mut self) -> PgResult<Item> {
        let mut left = self.product()?;
        loop {
            let operation = match self.peek() {
                Token::Sign("+") => Operation::Add,
                Token::Sign("-") => Operation::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            let first = self.value(left)?;
            let right = self.product()?;
            left = Item::Binary(operation, first, self.value(right)?);
        }
    }

    fn product(&mut self) -> PgResult<Item> {
        let mut left = self.signed()?;
        loop {
            let operation = match self.peek() {
                Token::Sign("*") => Operation::Multiply,
                Token::Sign("/") => Operation::Divide,
                Token::Sign("%") => Operation::Modulo,
                _ => return Ok(left),
            };
            self.at += 1;
            let first = self.value(left)?;
            let right = self.signed()?;
            left = Item::Binary(operation, first, self.value(right)?);
        }
    }

    fn signed(&mut self) -> PgResult<Item> {
        let negative = match self.peek() {
            Token::Sign("+") => false,
            Token::Sign("-") => true,
            _ => return self.primary(),
        };
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let operand = self.signed()?;
        self.depth -= 1;
        Ok(match operand {
            Item::Number(value) if negative => Item::Number(value.negate()),
            Item::Number(value) => Item::Number(value),
            operand => Item::Signed { negative, operand: self.value(operand)? },
        })
    }

    fn primary(&mut self) -> PgResult<Item> {
        let token = self.peek().clone();
        let item = match token {
            Token::Sign("(") => {
                self.at += 1;
                let inside = self.disjunction()?;
                self.expect(")")?;
                if self.is_word("is") && inside.is_predicate() {
                    self.at += 1;
                    if !self.word("unknown") {
                        return Err(self.unexpected());
                    }
                    return Ok(Item::IsUnknown(Box::new(inside)));
                }
                inside
            }
            Token::Word(word) if word.eq_ignore_ascii_case("exists") => {
                self.at += 1;
                self.expect("(")?;
                let inside = self.sum()?;
                self.expect(")")?;
                return Ok(Item::Exists(self.value(inside)?));
            }
            _ => {
                let item = match token {
                    Token::Sign("$") => Item::Root,
                    Token::Sign("@") if self.filters == 0 => {
                        return Err(syntax_error("@ is not allowed in root expressions".to_string()));
                    }
                    Token::Sign("@") => Item::Current,
                    Token::Variable(name) => Item::Variable(name),
                    Token::Text(text) => Item::String(text),
                    Token::Number(value) => Item::Number(value),
                    Token::Word(word) => match word.as_str() {
                        "null" => Item::Null,
                        "true" => Item::Bool(true),
                        "false" => Item::Bool(false),
                        word if word.eq_ignore_ascii_case("last") && self.subscripts == 0 => {
                            let message = "LAST is allowed only in array subscripts";
                            return Err(syntax_error(message.to_string()));
                        }
                        word if word.eq_ignore_ascii_case("last") => Item::Last,
                        _ => return Err(self.unexpected()),
                    },
                    _ => return Err(self.unexpected()),
                };
                self.at += 1;
                item
            }
        };
        let steps = self.steps()?;
        Ok(match (item, steps.is_empty()) {
            (item, true) => item,
            (Item::Access(of, mut before), false) => {
                before.extend(steps);
                Item::Access(of, before)
            }
            (item, false) => Item::Access(Box::new(item), steps),
        })
    }

    fn steps(&mut self) -> PgResult<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.sign(".") {
                steps.push(self.member()?);
            } else if self.sign("[") {
                steps.push(self.subscript()?);
            } else if self.sign("?") {
                self.expect("(")?;
                self.filters += 1;
                let condition = self.disjunction()?;
                self.filters -= 1;
                let condition = self.predicate(condition)?;
                self.expect(")")?;
                steps.push(Step::Filter(*condition));
            } else {
                return Ok(steps);
            }
        }
    }

    fn member(&mut self) -> PgResult<Step> {
        if self.sign("**") {
            return self.levels();
        }
        if self.sign("*") {
            return Ok(Step::AnyKey);
        }
        match self.peek().clone() {
            Token::Text(name) => {
                self.at += 1;
                Ok(Step::Key(name))
            }
            // `.$name` is a key too.
            Token::Variable(name) => {
                self.at += 1;
                Ok(Step::Key(format!("${name}")))
            }
            Token::Word(name) => {
                self.at += 1;
                if !matches!(self.peek(), Token::Sign("(")) {
                    return Ok(Step::Key(name));
                }
                let method = match name.to_ascii_lowercase().as_str() {
                    "type" => Method::Type,
                    "size" => Method::Size,
                    "double" => Method::Double,
                    "ceiling" => Method::Ceiling,
                    "floor" => Method::Floor,
                    "abs" => Method::Abs,
                    "keyvalue" => Method::KeyValue,
                    "datetime" => return Err(super::unsupported()),
                    _ => return Err(self.unexpected()),
                };
                self.expect("(")?;
                self.expect(")")?;
                Ok(Step::Method(method))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn level(&mut self) -> PgResult<u32> {
        if self.word("last") {
            return Ok(u32::MAX);
        }
        match self.peek().clone() {
            Token::Number(value) => {
                let level =
                    value.to_i64().and_then(|value| u32::try_from(value).ok()).ok_or_else(|| self.unexpected())?;
                self.at += 1;
                Ok(level)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn levels(&mut self) -> PgResult<Step> {
        if !self.sign("{") {
            return Ok(Step::Deep { first: 0, last: u32::MAX });
        }
        let first = self.level()?;
        let last = if self.word("to") { self.level()? } else { first };
        self.expect("}")?;
        Ok(Step::Deep { first, last })
    }

    fn subscript(&mut self) -> PgResult<Step> {
        if self.sign("*") {
            self.expect("]")?;
            return Ok(Step::AnyElement);
        }
        let mut subscripts = Vec::new();
        self.subscripts += 1;
        loop {
            let from = self.sum()?;
            let from = self.value(from)?;
            let to = if self.word("to") { Some(self.sum()?) } else { None };
            let to = to.map(|to| self.value(to)).transpose()?;
            subscripts.push((*from, to.map(|to| *to)));
            if !self.sign(",") {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect("]")?;
        Ok(Step::Elements(subscripts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_texts() {
        let cases = [
            ("$.a[last - 1 to last, 0]", "$.\"a\"[last - 1 to last,0]"),
            ("lax $.a.b.type().size()", "$.\"a\".\"b\".type().size()"),
            (
                "strict $.\"a b\" ? (@.x == \"y\" && !(@.z > 1) || exists (@.q))",
                "strict $.\"a b\"?(@.\"x\" == \"y\" && !(@.\"z\" > 1) || exists (@.\"q\"))",
            ),
            ("$.**{2}.a", "$.**{2}.\"a\""),
            ("-1 + $.a * (2 - 3)", "(-1 + $.\"a\" * (2 - 3))"),
            ("($.a + 1).abs()", "($.\"a\" + 1).abs()"),
            ("$ ? (@ like_regex \"^a\" flag \"i\")", "$?(@ like_regex \"^a\" flag \"i\")"),
            ("$x.y", "$\"x\".\"y\""),
            ("1.5e3", "1500"),
            ("($.a > 1) is unknown", "($.\"a\" > 1) is unknown"),
            ("\"\\u0041\"", "\"A\""),
        ];
        for (text, expected) in cases {
            let path = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(path.to_string(), expected, "{text}");
            assert_eq!(parse(expected).expect("its own text"), path, "{text}");
        }
    }

    #[test]
    fn mistakes_have_postgresqls_words() {
        let cases = [
            ("", "invalid input syntax for type jsonpath: \"\""),
            ("$.", "syntax error at end of jsonpath input"),
            ("$ foo", "syntax error at end of jsonpath input"),
            ("@ > 1", "@ is not allowed in root expressions"),
            ("last", "LAST is allowed only in array subscripts"),
            ("$.a, 1", "syntax error at or near \",\" of jsonpath input"),
            ("$.a == 1 == 2", "syntax error at or near \"==\" of jsonpath input"),
            ("$.1a", "trailing junk after numeric literal at or near \".1a\" of jsonpath input"),
            ("$.foo()", "syntax error at or near \"(\" of jsonpath input"),
            ("\"abc", "unexpected end of quoted string at end of jsonpath input"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text).message, expected, "{text}");
        }
    }
}
