//! Numbers: `to_char(number, template)` and `to_number`.
//!
//! The number becomes digits with the template's count of decimals; the template is then walked digit by digit. How
//! signs, blanks and zeros fall is PostgreSQL's, down to its oddities, so the walk has the same state as there.
use super::*;
use crate::error::sqlstate;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Nine,
    Zero,
    Point,
    LocalPoint,
    Comma,
    Group,
    Currency,
    Minus,
    Plus,
    Sign,
    LocalSign,
    Brackets,
    Roman { upper: bool },
    Ordinal { upper: bool },
    Shift,
    Scientific,
    Fill,
    Blank,
    Spell,
}

fn key(text: &str) -> Option<(Key, usize)> {
    const KEYS: &[(&str, Key)] = &[
        ("EEEE", Key::Scientific),
        ("FM", Key::Fill),
        ("MI", Key::Minus),
        ("PL", Key::Plus),
        ("PR", Key::Brackets),
        ("SG", Key::Sign),
        ("SP", Key::Spell),
        ("9", Key::Nine),
        ("0", Key::Zero),
        (".", Key::Point),
        (",", Key::Comma),
        ("D", Key::LocalPoint),
        ("G", Key::Group),
        ("L", Key::Currency),
        ("S", Key::LocalSign),
        ("V", Key::Shift),
        ("B", Key::Blank),
    ];
    for (word, upper) in [("RN", true), ("rn", false)] {
        if text.starts_with(word) {
            return Some((Key::Roman { upper }, 2));
        }
    }
    for (word, upper) in [("TH", true), ("th", false)] {
        if text.starts_with(word) {
            return Some((Key::Ordinal { upper }, 2));
        }
    }
    KEYS.iter()
        .find(|(word, _)| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
        .map(|(word, key)| (*key, word.len()))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum SignPlace {
    #[default]
    None,
    Before,
    After,
}

/// What a template says about a number.
#[derive(Clone, Debug, Default)]
struct Picture {
    before: usize,
    after: usize,
    shift: usize,
    sign: SignPlace,
    has_local_sign: bool,
    before_at_sign: usize,
    zero_start: usize,
    zero_end: usize,
    has_zero: bool,
    decimal: bool,
    fill: bool,
    shifts: bool,
    minus: bool,
    plus: bool,
    brackets: bool,
    roman: bool,
    scientific: bool,
}

fn bad_template(message: &str) -> Box<PgError> {
    PgError::new(sqlstate::SYNTAX_ERROR, message)
}

fn picture(nodes: &[Node<Key>]) -> PgResult<Picture> {
    let mut p = Picture::default();
    for node in nodes {
        let Node::Key(key) = node else { continue };
        if p.scientific && *key != Key::Scientific {
            return Err(bad_template("\"EEEE\" must be the last pattern used"));
        }
        match key {
            Key::Nine | Key::Zero if p.brackets => {
                let digit = if *key == Key::Nine { "9" } else { "0" };
                return Err(bad_template(&format!("\"{digit}\" must be ahead of \"PR\"")));
            }
            Key::Nine if p.shifts => p.shift += 1,
            Key::Nine if p.decimal => p.after += 1,
            Key::Nine => p.before += 1,
            Key::Zero => {
                if !p.has_zero && !p.decimal {
                    p.has_zero = true;
                    p.zero_start = p.before + 1;
                }
                if p.decimal {
                    p.after += 1;
                } else {
                    p.before += 1;
                }
                p.zero_end = p.before + p.after;
            }
            Key::Point | Key::LocalPoint => {
                if p.decimal {
                    return Err(bad_template("multiple decimal points"));
                }
                if p.shifts {
                    return Err(bad_template("cannot use \"V\" and decimal point together"));
                }
                p.decimal = true;
            }
            Key::Fill => p.fill = true,
            Key::LocalSign => {
                if p.has_local_sign {
                    return Err(bad_template("cannot use \"S\" twice"));
                }
                if p.plus || p.minus || p.brackets {
                    return Err(bad_template("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                p.has_local_sign = true;
                if p.decimal {
                    p.sign = SignPlace::After;
                } else {
                    p.sign = SignPlace::Before;
                    p.before_at_sign = p.before;
                }
            }
            Key::Minus | Key::Plus | Key::Sign if p.has_local_sign => {
                let name = match key {
                    Key::Minus => "MI",
                    Key::Plus => "PL",
                    _ => "SG",
                };
                return Err(bad_template(&format!("cannot use \"S\" and \"{name}\" together")));
            }
            Key::Minus => p.minus = true,
            Key::Plus => p.plus = true,
            Key::Sign => (p.minus, p.plus) = (true, true),
            Key::Brackets => {
                if p.has_local_sign || p.plus || p.minus {
                    return Err(bad_template("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                p.brackets = true;
            }
            Key::Roman { .. } => p.roman = true,
            Key::Shift => {
                if p.decimal {
                    return Err(bad_template("cannot use \"V\" and decimal point together"));
                }
                p.shifts = true;
            }
            Key::Scientific => {
                if p.fill || p.shifts || p.roman || p.brackets || p.has_local_sign || p.minus || p.plus {
                    return Err(bad_template("\"EEEE\" is incompatible with other formats")
                        .detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
                }
                p.scientific = true;
            }
            _ => {}
        }
    }
    Ok(p)
}

/// `d.ddde+xx`
fn scientific(value: &Numeric, digits: usize) -> String {
    let Some((sign, all, scale)) = value.parts() else { return String::new() };
    let mut exponent = all.len() as i64 - i64::from(scale) - 1;
    let mut shown = if value.is_zero() {
        exponent = 0;
        "0".repeat(digits + 1)
    } else {
        let unit =
            Numeric::new(num_bigint::BigInt::parse_bytes(all.as_bytes(), 10).unwrap_or_default(), all.len() as u32 - 1);
        let rounded = unit.round(digits as i32).to_string().replace('.', "");
        // 9.99 may round up to 10.0
        if rounded.len() > digits + 1 {
            exponent += 1;
            rounded[..digits + 1].to_string()
        } else {
            rounded
        }
    };
    if digits > 0 {
        shown.insert(1, '.');
    }
    let minus = if sign == num_bigint::Sign::Minus { "-" } else { "" };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{minus}{shown}e{exponent_sign}{:02}", exponent.abs())
}

fn roman(value: &Numeric) -> String {
    let number = value.to_i64().unwrap_or(0);
    if !(1..=3999).contains(&number) {
        return "#".repeat(15);
    }
    const DIGITS: &[(i64, &str)] = &[
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut rest = number;
    let mut out = String::new();
    for (worth, letters) in DIGITS {
        while rest >= *worth {
            out.push_str(letters);
            rest -= worth;
        }
    }
    out
}

/// A number, or the digits of a float, which has fewer of them.
enum Source {
    Numeric(Numeric),
    Float { value: f64, digits: usize },
}

impl Source {
    fn is_finite(&self) -> bool {
        match self {
            Source::Numeric(value) => value.parts().is_some(),
            Source::Float { value, .. } => value.is_finite(),
        }
    }

    fn as_numeric(&self) -> Numeric {
        match self {
            Source::Numeric(value) => value.clone(),
            Source::Float { value, .. } => Numeric::from_f64(*value, 17),
        }
    }

    /// Decimal text with the picture's digits after the point; fewer, if a float has no more.
    fn decimal(&self, p: &mut Picture) -> PgResult<String> {
        let power = Numeric::from(10i64).power(&Numeric::from(p.shift as i64))?.round(0);
        match self {
            Source::Numeric(value) => {
                let value = if p.shifts { value.multiply(&power)? } else { value.clone() };
                Ok(value.round(p.after as i32).to_string())
            }
            Source::Float { value, digits } => {
                let value = if p.shifts { value * 10f64.powi(p.shift as i32) } else { *value };
                if value.is_nan() {
                    return Ok("NaN".to_string());
                }
                if value.is_infinite() {
                    return Ok(if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string());
                }
                let whole = format!("{:.0}", value.abs()).len();
                if whole >= *digits {
                    p.after = 0;
                } else if whole + p.after > *digits {
                    p.after = digits - whole;
                }
                Ok(format!("{value:.*}", p.after))
            }
        }
    }
}

/// The state of the walk over a template.
struct Walk {
    picture: Picture,
    number: Vec<char>,
    at: usize,
    sign: char,
    sign_written: bool,
    leading_blanks: usize,
    count: usize,
    current: usize,
    in_number: bool,
    last_relevant: Option<usize>,
    out: String,
}

impl Walk {
    fn new(picture: Picture, number: String, sign: char, leading_blanks: usize) -> Walk {
        let mut p = picture;
        // From here on it is a position from 0.
        p.zero_start = p.zero_start.saturating_sub(1);
        let sign_written = if p.plus || p.minus {
            p.minus || !p.plus
        } else {
            if sign != '-' && p.fill {
                p.brackets = false;
            }
            let written = sign == '+' && p.fill && !p.has_local_sign;
            if p.sign == SignPlace::Before && p.before == p.before_at_sign {
                p.sign = SignPlace::After;
            }
            written
        };
        let number: Vec<char> = number.chars().collect();
        let mut last_relevant = None;
        if p.fill && p.decimal {
            if let Some(point) = number.iter().position(|ch| *ch == '.') {
                let mut last = number.iter().rposition(|ch| *ch != '0').map_or(point, |at| at.max(point));
                if p.zero_end > leading_blanks {
                    last = last.max((number.len() - 1).min(p.zero_end - leading_blanks));
                }
                last_relevant = Some(last);
            }
        }
        let mut count = (p.before + p.after).saturating_sub(1);
        if !sign_written && leading_blanks == 0 {
            count += 1;
        }
        Walk {
            picture: p,
            number,
            at: 0,
            sign,
            sign_written,
            leading_blanks,
            count,
            current: 0,
            in_number: false,
            last_relevant,
            out: String::new(),
        }
    }

    fn last_is_point(&self) -> bool {
        self.last_relevant.is_some_and(|at| self.number[at] == '.')
    }

    /// `0.1` as ` .1`
    fn blank_before_point(&self) -> bool {
        !self.picture.has_zero && self.at == 0 && self.number.first() == Some(&'0') && self.picture.after != 0
    }

    fn write_sign(&mut self) {
        let p = &self.picture;
        let due = self.current >= self.leading_blanks || (p.has_zero && p.zero_start == self.current);
        if self.sign_written || !due || (self.blank_before_point() && !self.last_is_point()) {
            return;
        }
        if p.has_local_sign {
            if p.sign == SignPlace::Before {
                self.out.push(self.sign);
                self.sign_written = true;
            }
        } else if p.brackets {
            self.out.push(if self.sign == '+' { ' ' } else { '<' });
            self.sign_written = true;
        } else if self.sign == '+' {
            if !p.fill {
                self.out.push(' ');
            }
            self.sign_written = true;
        } else if self.sign == '-' {
            self.out.push('-');
            self.sign_written = true;
        }
    }

    fn digit(&mut self, key: Key) {
        self.in_number = false;
        self.write_sign();
        let p = self.picture.clone();
        if self.current < self.leading_blanks && (p.zero_start > self.current || !p.has_zero) {
            if !p.fill {
                self.out.push(' ');
            }
        } else if p.has_zero && self.current < self.leading_blanks && p.zero_start <= self.current {
            self.out.push('0');
            self.in_number = true;
        } else {
            match self.number.get(self.at).copied() {
                Some('.') => {
                    if !self.last_is_point() || p.fill {
                        self.out.push('.');
                    }
                }
                digit => {
                    if self.last_relevant.is_some_and(|last| self.at > last) && key != Key::Zero {
                    } else if self.blank_before_point() {
                        if !p.fill {
                            self.out.push(' ');
                        } else if self.last_is_point() {
                            self.out.push('0');
                        }
                    } else if let Some(digit) = digit {
                        self.out.push(digit);
                        self.in_number = true;
                    }
                }
            }
            if self.at < self.number.len() {
                self.at += 1;
            }
        }
        let mut end = self.count + usize::from(self.leading_blanks > 0) + usize::from(p.decimal);
        if self.last_relevant == Some(self.at) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_written && p.brackets {
                self.out.push(if self.sign == '+' { ' ' } else { '>' });
            } else if p.has_local_sign && p.sign == SignPlace::After {
                self.out.push(self.sign);
            }
        }
        self.current += 1;
    }

    fn key(&mut self, key: Key) {
        let fill = self.picture.fill;
        match key {
            Key::Nine | Key::Zero | Key::Point | Key::LocalPoint if !self.picture.roman => self.digit(key),
            Key::Comma | Key::Group => {
                if self.in_number {
                    self.out.push(',');
                } else if !fill {
                    self.out.push(' ');
                }
            }
            Key::Currency => self.out.push(' '),
            Key::Roman { upper } => {
                let digits: String = self.number.iter().collect();
                let digits = if upper { digits } else { digits.to_lowercase() };
                self.out.push_str(&if fill { digits } else { format!("{digits:>15}") });
            }
            Key::Ordinal { upper } => {
                let digits: String = self.number.iter().collect();
                if self.picture.roman || digits.starts_with('#') || self.sign == '-' || self.picture.decimal {
                    return;
                }
                let ending = ordinal(&digits);
                self.out.push_str(&if upper { ending.to_uppercase() } else { ending.to_string() });
            }
            Key::Minus => match self.sign {
                '-' => self.out.push('-'),
                _ if fill => {}
                _ => self.out.push(' '),
            },
            Key::Plus => match self.sign {
                '+' => self.out.push('+'),
                _ if fill => {}
                _ => self.out.push(' '),
            },
            Key::Sign => self.out.push(self.sign),
            _ => {}
        }
    }
}

fn number_to_char(source: Source, template: &str) -> PgResult<Datum> {
    let nodes = nodes(template, key);
    let mut p = picture(&nodes)?;
    if p.scientific {
        if !source.is_finite() {
            let mut hashes: Vec<char> = "#".repeat(p.before + p.after + 6).chars().collect();
            hashes[0] = ' ';
            if let Some(point) = hashes.get_mut(p.before + 1) {
                *point = '.';
            }
            return Ok(Datum::text(hashes.into_iter().collect::<String>()));
        }
        let shown = scientific(&source.as_numeric(), p.after);
        return Ok(Datum::text(if shown.starts_with('-') { shown } else { format!(" {shown}") }));
    }
    let (number, sign, blanks) = if p.roman {
        let fill = p.fill;
        let number = roman(&source.as_numeric());
        p = Picture { roman: true, fill, ..Picture::default() };
        (number, ' ', 0)
    } else {
        let shown = source.decimal(&mut p)?;
        if p.shifts {
            p.before += p.shift;
        }
        let (sign, digits) = match shown.strip_prefix('-') {
            Some(digits) => ('-', digits.to_string()),
            None => ('+', shown),
        };
        let whole = digits.find('.').unwrap_or(digits.len());
        if whole > p.before {
            let mut hashes = vec!['#'; p.before + p.after + 1];
            hashes[p.before] = '.';
            (hashes.into_iter().collect(), sign, 0)
        } else {
            (digits, sign, p.before - whole)
        }
    };
    let mut walk = Walk::new(p, number, sign, blanks);
    for node in nodes {
        match node {
            Node::Key(key) => walk.key(key),
            Node::Literal(ch) => walk.out.push(ch),
        }
    }
    Ok(Datum::text(walk.out))
}

pub fn numeric_to_char(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let template = text(a, 1)?;
    let source = match a.first() {
        Some(Datum::Numeric(value)) => Source::Numeric((**value).clone()),
        Some(Datum::Float4(value)) => Source::Float { value: f64::from(*value), digits: 6 },
        Some(Datum::Float8(value)) => Source::Float { value: *value, digits: 15 },
        _ => Source::Numeric(Numeric::from(int(a, 0)?)),
    };
    number_to_char(source, template)
}

/// `to_number(text, template)`
pub fn to_number(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let template = text(a, 1)?;
    let nodes = nodes(template, key);
    let p = picture(&nodes)?;
    if p.scientific {
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "\"EEEE\" not supported for input"));
    }
    if p.roman {
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "\"RN\" not supported for input"));
    }
    let mut reader = NumberReader {
        picture: &p,
        rest: text(a, 0)?.as_str(),
        sign: None,
        digits: String::new(),
        whole: 0,
        after: 0,
        point: false,
    };
    for node in &nodes {
        if reader.rest.is_empty() {
            break;
        }
        reader.node(node);
    }
    let digits = reader.digits.trim_end_matches('.');
    let shown = format!("{}{digits}", reader.sign.unwrap_or(' '));
    let value = Numeric::parse(shown.trim()).ok_or_else(|| crate::text::invalid_syntax("numeric", &shown))??;
    let value = value.round(p.after as i32);
    if p.shifts {
        let power = Numeric::from(10i64).power(&Numeric::from(p.shift as i64))?.round(0);
        return Ok(Datum::numeric(value.divide(&power)?));
    }
    Ok(Datum::numeric(value))
}

struct NumberReader<'a> {
    picture: &'a Picture,
    rest: &'a str,
    sign: Option<char>,
    digits: String,
    whole: usize,
    after: usize,
    point: bool,
}

impl NumberReader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.chars().next().map_or("", |ch| &self.rest[ch.len_utf8()..]);
    }
    fn starts(&self, ch: char) -> bool {
        self.rest.starts_with(ch)
    }
    /// A character that is no part of a number.
    fn skip_other(&mut self) {
        if !self.rest.starts_with(|ch: char| ch.is_ascii_digit() || matches!(ch, '.' | ',' | '+' | '-')) {
            self.skip();
        }
    }

    fn node(&mut self, node: &Node<Key>) {
        match node {
            Node::Key(Key::Nine | Key::Zero | Key::Point | Key::LocalPoint) => self.part(),
            Node::Key(Key::Comma | Key::Group) => {
                if self.starts(',') {
                    self.skip();
                }
            }
            Node::Key(Key::Minus) => match self.starts('-') {
                true => {
                    self.sign = Some('-');
                    self.skip();
                }
                false => self.skip_other(),
            },
            Node::Key(Key::Plus) => match self.starts('+') {
                true => {
                    self.sign = Some('+');
                    self.skip();
                }
                false => self.skip_other(),
            },
            Node::Key(Key::Sign) => match self.rest.chars().next() {
                Some(sign @ ('-' | '+')) => {
                    self.sign = Some(sign);
                    self.skip();
                }
                _ => self.skip_other(),
            },
            Node::Key(Key::Currency) => self.skip_other(),
            Node::Key(_) => {}
            Node::Literal(_) => self.skip_other(),
        }
    }

    fn part(&mut self) {
        if self.starts(' ') {
            self.skip();
        }
        if self.sign.is_none() && self.whole + self.after == 0 {
            let bracket = self.picture.brackets && self.starts('<');
            if self.starts('-') || bracket {
                self.sign = Some('-');
                self.skip();
            } else if self.starts('+') {
                self.sign = Some('+');
                self.skip();
            }
        }
        let mut read = false;
        match self.rest.chars().next() {
            Some(digit) if digit.is_ascii_digit() => {
                if self.point && self.after == self.picture.after {
                    return;
                }
                self.digits.push(digit);
                if self.point {
                    self.after += 1;
                } else {
                    self.whole += 1;
                }
                self.skip();
                read = true;
            }
            Some('.') if self.picture.decimal && !self.point => {
                self.digits.push('.');
                self.point = true;
                self.skip();
                read = true;
            }
            _ => {}
        }
        // A sign right behind the last digit.
        if self.sign.is_none() && self.whole + self.after > 0 {
            let locale = self.picture.has_local_sign && read;
            let loose = !read && !self.picture.has_local_sign && !self.picture.plus && !self.picture.minus;
            if let (true, Some(sign @ ('-' | '+'))) = (locale || loose, self.rest.chars().next()) {
                self.sign = Some(sign);
                self.skip();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_as_postgresql_fills_them() {
        let cases = [
            ("485", "999", " 485"),
            ("-485", "999MI", "485-"),
            ("148.5", "FM999.990", "148.500"),
            ("0.1", "0.9", " 0.1"),
            ("0.1", "9.9", "  .1"),
            ("-0.1", "FM9.99", "-.1"),
            ("1485", "9,999", " 1,485"),
            ("-485", "999PR", "<485>"),
            ("485", "FMRN", "CDLXXXV"),
            ("12.45", "99V9", " 125"),
            ("0.0004859", "9.99EEEE", " 4.86e-04"),
            ("12345", "999", " ###"),
        ];
        for (number, template, expected) in cases {
            let value = Numeric::parse(number).expect("a number").expect("in range");
            let shown = number_to_char(Source::Numeric(value), template).expect(template);
            assert_eq!(shown.as_str(), Some(expected), "{number} {template}");
        }
    }
}
