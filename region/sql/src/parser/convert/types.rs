//! Type names: SQL's spellings to PostgreSQL's own names.
use super::super::tree::*;
use super::Converter;
use sqlparser::ast::{self, DataType};
use trivet_types::{PgError, PgResult, sqlstate};

fn plain(name: &str, modifiers: Vec<i32>) -> TypeName {
    TypeName { name: name.to_owned(), schema: None, modifiers, array: false, place: Place::default() }
}

fn modifier(number: u64) -> PgResult<i32> {
    i32::try_from(number)
        .map_err(|_| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("type modifier {number} is out of range")))
}

fn precision(number: Option<u64>) -> PgResult<Vec<i32>> {
    number.map(modifier).transpose().map(|number| number.into_iter().collect())
}

fn length(length: Option<ast::CharacterLength>) -> PgResult<Option<i32>> {
    match length {
        None => Ok(None),
        Some(ast::CharacterLength::IntegerLength { length, .. }) => modifier(length).map(Some),
        Some(ast::CharacterLength::Max) => Err(PgError::unsupported("varchar(max)")),
    }
}

fn exact(info: ast::ExactNumberInfo) -> PgResult<Vec<i32>> {
    Ok(match info {
        ast::ExactNumberInfo::None => vec![],
        ast::ExactNumberInfo::Precision(precision) => vec![modifier(precision)?],
        ast::ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            let scale = i32::try_from(scale).map_err(|_| PgError::unsupported(format!("numeric scale {scale}")))?;
            vec![modifier(precision)?, scale]
        }
    })
}

/// The fields that an interval may have, and its digits; nothing for an interval without either.
pub(super) fn interval_modifiers(first: Option<&str>, last: Option<&str>, digits: Option<u64>) -> PgResult<Vec<i32>> {
    use trivet_types::modifier::interval::{DAY, FIELDS_ALL, HOUR, MINUTE, MONTH, SECOND, YEAR};
    const ORDER: [(&str, i32); 6] =
        [("year", YEAR), ("month", MONTH), ("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND)];
    let place = |word: &str| ORDER.iter().position(|(name, _)| word.eq_ignore_ascii_case(name));
    let fields = match (first, last) {
        (None, _) => FIELDS_ALL,
        (Some(first), last) => {
            let unknown = || PgError::unsupported(format!("interval {first}"));
            let from = place(first).ok_or_else(unknown)?;
            let to = last.map_or(Some(from), place).filter(|to| *to >= from).ok_or_else(unknown)?;
            ORDER[from..=to].iter().map(|(_, field)| field).sum()
        }
    };
    let mut modifiers = if first.is_none() && digits.is_none() { vec![] } else { vec![fields] };
    if let Some(digits) = digits {
        modifiers.push(modifier(digits)?);
    }
    Ok(modifiers)
}

impl Converter<'_> {
    pub fn type_name(&mut self, data_type: DataType) -> PgResult<TypeName> {
        use DataType as D;
        use ast::TimezoneInfo as Z;
        Ok(match data_type {
            D::Character(size) | D::Char(size) => plain("bpchar", vec![length(size)?.unwrap_or(1)]),
            D::CharacterVarying(size) | D::CharVarying(size) | D::Varchar(size) => {
                plain("varchar", length(size)?.into_iter().collect())
            }
            D::Text => plain("text", vec![]),
            D::Uuid => plain("uuid", vec![]),
            D::Bytea => plain("bytea", vec![]),
            D::Numeric(info) | D::Decimal(info) | D::Dec(info) => plain("numeric", exact(info)?),
            D::SmallInt(None) | D::Int2(None) => plain("int2", vec![]),
            D::Int(None) | D::Integer(None) | D::Int4(None) => plain("int4", vec![]),
            D::BigInt(None) | D::Int8(None) => plain("int8", vec![]),
            D::Real | D::Float4 => plain("float4", vec![]),
            D::Float8 | D::DoublePrecision | D::Double(ast::ExactNumberInfo::None) => plain("float8", vec![]),
            D::Float(ast::ExactNumberInfo::None) => plain("float8", vec![]),
            D::Float(ast::ExactNumberInfo::Precision(bits)) => match bits {
                0 => {
                    let message = "precision for type float must be at least 1 bit";
                    return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
                }
                1..=24 => plain("float4", vec![]),
                25..=53 => plain("float8", vec![]),
                _ => {
                    let message = "precision for type float must be less than 54 bits";
                    return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
                }
            },
            D::Bool | D::Boolean => plain("bool", vec![]),
            D::Date => plain("date", vec![]),
            D::Time(digits, Z::None | Z::WithoutTimeZone) => plain("time", precision(digits)?),
            D::Time(digits, _) => plain("timetz", precision(digits)?),
            D::Timestamp(digits, Z::None | Z::WithoutTimeZone) => plain("timestamp", precision(digits)?),
            D::Timestamp(digits, _) => plain("timestamptz", precision(digits)?),
            D::Interval { fields, precision: digits } => {
                let said = fields.map(|fields| fields.to_string()).unwrap_or_default();
                let mut words = said.split(" TO ").filter(|word| !word.is_empty());
                let (first, last) = (words.next(), words.next());
                plain("interval", interval_modifiers(first, last, digits)?)
            }
            D::JSON => plain("json", vec![]),
            D::JSONB => plain("jsonb", vec![]),
            D::Regclass => plain("regclass", vec![]),
            D::Bit(size) => plain("bit", vec![size.map(modifier).transpose()?.unwrap_or(1)]),
            D::BitVarying(size) | D::VarBit(size) => plain("varbit", precision(size)?),
            D::TsVector => plain("tsvector", vec![]),
            D::TsQuery => plain("tsquery", vec![]),
            D::Array(
                ast::ArrayElemTypeDef::SquareBracket(element, _) | ast::ArrayElemTypeDef::Qualified(element, _),
            ) => self.deeper(|converter| {
                let mut element = converter.type_name(*element)?;
                element.array = true;
                Ok(element)
            })?,
            D::Custom(name, modifiers) => self.custom_type(name, modifiers)?,
            other => return Err(PgError::unsupported(format!("type {}", other.to_string().to_lowercase()))),
        })
    }

    fn custom_type(&mut self, name: ast::ObjectName, modifiers: Vec<ast::TypeModifier>) -> PgResult<TypeName> {
        let quoted =
            matches!(name.0.last(), Some(ast::ObjectNamePart::Identifier(ident)) if ident.quote_style.is_some());
        let name = self.name(name)?;
        let place = name.place();
        let text = name.last().to_owned();
        // "char", quoted, is PostgreSQL's one-byte type; the SQL spellings are keywords and come as their own variants.
        let text = match (quoted, text.as_str()) {
            (false, "int") => "int4".to_owned(),
            _ => text,
        };
        let mut numbers = Vec::with_capacity(modifiers.len());
        for given in modifiers {
            match given {
                ast::TypeModifier::Number(digits, _) => numbers.push(digits.parse().map_err(|_| {
                    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("type modifier {digits} is out of range"))
                })?),
                other => return Err(PgError::unsupported(format!("type modifier {other}"))),
            }
        }
        Ok(TypeName { name: text, schema: name.schema().map(str::to_owned), modifiers: numbers, array: false, place })
    }
}
