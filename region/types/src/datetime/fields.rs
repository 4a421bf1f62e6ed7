//! Text of a date, time or interval cut into fields, by their characters alone.
use super::ParseError;
use super::words::date_word;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Digits, perhaps with a point in or before them.
    Number,
    /// Letters.
    Word,
    /// Parts with dashes, slashes or points between them; also a zone's full name.
    Date,
    /// Digits with colons.
    Time,
    /// A sign and digits: an offset, or a signed number.
    Signed,
    /// A sign and letters.
    Special,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub kind: Kind,
    /// Letters are lower case.
    pub text: String,
}

const FIELDS_MAX: usize = 25;
const BYTES_MAX: usize = 128;

struct Cursor<'t> {
    bytes: &'t [u8],
    at: usize,
    text: String,
}

impl Cursor<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }
    fn take(&mut self) {
        self.text.push(char::from(self.peek().to_ascii_lowercase()));
        self.at += 1;
    }
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && wanted(self.peek()) {
            self.take();
        }
    }

    /// Behind a digit: a time, a date or a number.
    fn numeric(&mut self) -> Kind {
        let digit = |byte: u8| byte.is_ascii_digit();
        self.take_while(digit);
        match self.peek() {
            b':' => {
                self.take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
                Kind::Time
            }
            separator @ (b'-' | b'/' | b'.') => {
                self.take();
                if !self.peek().is_ascii_digit() {
                    // A month's name may stand inside.
                    self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == separator);
                    return Kind::Date;
                }
                self.take_while(digit);
                if self.peek() == separator {
                    self.take_while(|byte| byte.is_ascii_digit() || byte == separator);
                    return Kind::Date;
                }
                if separator == b'.' { Kind::Number } else { Kind::Date }
            }
            _ => Kind::Number,
        }
    }

    /// A word, or a date or zone's name that begins with one.
    fn lettered(&mut self) -> Kind {
        self.take_while(|byte| byte.is_ascii_alphabetic());
        let goes_on = match self.peek() {
            b'-' | b'/' | b'.' => true,
            byte if byte == b'+' || byte.is_ascii_digit() => date_word(&self.text).is_none(),
            _ => false,
        };
        if !goes_on {
            return Kind::Word;
        }
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'/' | b'_' | b'.' | b':'));
        Kind::Date
    }

    fn signed(&mut self) -> Result<Kind, ParseError> {
        self.take();
        while is_space(self.peek()) {
            self.at += 1;
        }
        if self.peek().is_ascii_digit() {
            self.take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-'));
            return Ok(Kind::Signed);
        }
        if self.peek().is_ascii_alphabetic() {
            self.take_while(|byte| byte.is_ascii_alphabetic());
            return Ok(Kind::Special);
        }
        Err(ParseError::Syntax)
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn fields(text: &str) -> Result<Vec<Field>, ParseError> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0, text: String::new() };
    let mut fields = Vec::new();
    let mut length = 0;
    while cursor.at < cursor.bytes.len() {
        let kind = match cursor.peek() {
            byte if is_space(byte) => {
                cursor.at += 1;
                continue;
            }
            byte if byte.is_ascii_digit() => cursor.numeric(),
            b'.' => {
                cursor.take();
                cursor.take_while(|byte| byte.is_ascii_digit());
                Kind::Number
            }
            byte if byte.is_ascii_alphabetic() => cursor.lettered(),
            b'+' | b'-' => cursor.signed()?,
            byte if byte.is_ascii_punctuation() => {
                cursor.at += 1;
                continue;
            }
            _ => return Err(ParseError::Syntax),
        };
        let text = std::mem::take(&mut cursor.text);
        length += text.len() + 1;
        fields.push(Field { kind, text });
        if fields.len() > FIELDS_MAX || length > BYTES_MAX + FIELDS_MAX {
            return Err(ParseError::Syntax);
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_say_what_a_field_is() {
        let kinds = |text: &str| fields(text).expect(text).into_iter().map(|field| field.kind).collect::<Vec<_>>();
        assert_eq!(kinds("2024-01-31 12:34:56.7+02"), [Kind::Date, Kind::Time, Kind::Signed]);
        assert_eq!(kinds("20240131T123456"), [Kind::Number, Kind::Word, Kind::Number]);
        assert_eq!(kinds("Jan-01-2024, America/New_York"), [Kind::Date, Kind::Date]);
        assert_eq!(kinds("1 day -2:03"), [Kind::Number, Kind::Word, Kind::Signed]);
        assert_eq!(kinds("-infinity .5"), [Kind::Special, Kind::Number]);
        assert_eq!(fields("\u{e9}"), Err(ParseError::Syntax));
    }
}
