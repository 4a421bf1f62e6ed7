//! A value of any type, in memory.
//!
//! `Datum` says how a value is represented, not of which SQL type it is: `text`, `varchar`, `bpchar` and `name` are
//! all `Text`; `oid` and the `reg*` types are all `Oid`. Types are known statically, by the typed tree.
//! Strings and byte strings are slices of the row that they came from: decoding a column allocates nothing.
use crate::numeric::Numeric;
use crate::oid::Oid;
use bytes::Bytes;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// UTF-8 text that shares its buffer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Bytes);

impl Text {
    pub fn from_static(text: &'static str) -> Text {
        Text(Bytes::from_static(text.as_bytes()))
    }
    /// `None` if the bytes are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Text> {
        std::str::from_utf8(&bytes).ok()?;
        Some(Text(bytes))
    }
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor checks, or is given a `str`.
        #[allow(unsafe_code)]
        unsafe {
            std::str::from_utf8_unchecked(&self.0)
        }
    }
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}
impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}
impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Bytes::copy_from_slice(text.as_bytes()))
    }
}
impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(Bytes::from(text))
    }
}
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// PostgreSQL's interval: three parts that do not convert into each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    pub microseconds: i64,
    pub days: i32,
    pub months: i32,
}

/// A time of day with the offset that it is meant in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeTz {
    /// Microseconds since midnight, there.
    pub microseconds: i64,
    /// Seconds west of Greenwich, as PostgreSQL counts it.
    pub west: i32,
}

impl TimeTz {
    /// Microseconds since midnight in Greenwich; may be of the day before or after.
    pub fn greenwich(&self) -> i64 {
        self.microseconds + i64::from(self.west) * 1_000_000
    }
    /// What decides the order: the moment, then the offset.
    pub fn order(&self) -> (i64, i32) {
        (self.greenwich(), self.west)
    }
}

/// One dimension of an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dimension {
    pub length: usize,
    pub lower: i32,
}

impl Dimension {
    /// The last subscript. Not an `i32`: a length that a lower bound near the end cannot have must not wrap.
    pub fn upper(&self) -> i64 {
        i64::from(self.lower) + self.length as i64 - 1
    }
    /// False if the subscripts would leave the integers.
    pub fn in_bounds(&self) -> bool {
        self.upper() < i64::from(i32::MAX)
    }
}

/// An array of any number of dimensions; no dimension at all is the empty array.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    pub element: Oid,
    pub dimensions: Vec<Dimension>,
    /// Row-major.
    pub values: Vec<Datum>,
}

impl Array {
    /// One dimension, from 1.
    pub fn from_values(element: Oid, values: Vec<Datum>) -> Array {
        Array::with_lower(element, values, 1)
    }
    pub fn with_lower(element: Oid, values: Vec<Datum>, lower: i32) -> Array {
        let dimensions = if values.is_empty() { Vec::new() } else { vec![Dimension { length: values.len(), lower }] };
        Array { element, dimensions, values }
    }
}

/// What a row's fields are called and of which types they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordShape {
    pub names: Vec<String>,
    pub types: Vec<Oid>,
}

/// A row. One whose shape nobody noted has fields `f1`, `f2` ... that show as their representation does.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    values: Arc<Vec<Datum>>,
    shape: Option<Arc<RecordShape>>,
}

impl Record {
    pub fn with_shape(values: Vec<Datum>, shape: Arc<RecordShape>) -> Record {
        Record { values: Arc::new(values), shape: Some(shape) }
    }
    pub fn shape(&self) -> Option<&Arc<RecordShape>> {
        self.shape.as_ref()
    }
    pub fn field_name(&self, at: usize) -> String {
        let name = self.shape.as_ref().and_then(|shape| shape.names.get(at));
        name.cloned().unwrap_or_else(|| format!("f{}", at + 1))
    }
    pub fn field_type(&self, at: usize) -> Oid {
        match (&self.shape, self.values.get(at)) {
            (Some(shape), _) => shape.types.get(at).copied().unwrap_or(crate::oid::TEXT),
            (None, Some(Datum::Oid(_))) => crate::oid::OID,
            (None, _) => crate::oid::UNKNOWN,
        }
    }
}

impl Deref for Record {
    type Target = Vec<Datum>;
    fn deref(&self) -> &Vec<Datum> {
        &self.values
    }
}
impl From<Vec<Datum>> for Record {
    fn from(values: Vec<Datum>) -> Record {
        Record { values: Arc::new(values), shape: None }
    }
}

/// A value. Equality is that of the representation; SQL's is in `compare`.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Datum {
    #[default]
    Null,
    Bool(bool),
    /// `"char"`
    Char(u8),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    /// `oid`, `regclass`, `regtype`, `xid` ...
    Oid(u32),
    Float4(f32),
    Float8(f64),
    Numeric(Box<Numeric>),
    /// `text`, `varchar`, `bpchar`, `name`, `unknown`, and `json` and `jsonb` (see `json`)
    Text(Text),
    Bytea(Bytes),
    /// Days since 2000-01-01; `i32::MIN` and `MAX` are the infinities.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    TimeTz(TimeTz),
    /// Microseconds since 2000-01-01 (UTC for `timestamptz`); `i64::MIN` and `MAX` are the infinities.
    Timestamp(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    Enum(crate::EnumValue),
    Array(Arc<Array>),
    Record(Record),
}

impl Datum {
    pub fn text(text: impl Into<Text>) -> Datum {
        Datum::Text(text.into())
    }
    pub fn numeric(value: Numeric) -> Datum {
        Datum::Numeric(Box::new(value))
    }
    pub fn array(array: Array) -> Datum {
        Datum::Array(Arc::new(array))
    }
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
    /// SQL's `IS TRUE`.
    pub fn is_true(&self) -> bool {
        matches!(self, Datum::Bool(true))
    }
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Datum::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }
    /// Any integer, widened.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Datum::Int2(value) => Some(i64::from(*value)),
            Datum::Int4(value) => Some(i64::from(*value)),
            Datum::Int8(value) => Some(*value),
            Datum::Oid(value) => Some(i64::from(*value)),
            _ => None,
        }
    }
    /// Rough size in memory, for accounting.
    pub fn memory(&self) -> usize {
        std::mem::size_of::<Datum>()
            + match self {
                Datum::Text(text) => text.len(),
                Datum::Bytea(bytes) => bytes.len(),
                Datum::Numeric(numeric) => numeric.memory(),
                Datum::Array(array) => array.values.iter().map(Datum::memory).sum(),
                Datum::Record(values) => values.iter().map(Datum::memory).sum(),
                _ => 0,
            }
    }
}

impl From<bool> for Datum {
    fn from(value: bool) -> Datum {
        Datum::Bool(value)
    }
}
impl From<i16> for Datum {
    fn from(value: i16) -> Datum {
        Datum::Int2(value)
    }
}
impl From<i32> for Datum {
    fn from(value: i32) -> Datum {
        Datum::Int4(value)
    }
}
impl From<i64> for Datum {
    fn from(value: i64) -> Datum {
        Datum::Int8(value)
    }
}
impl From<Oid> for Datum {
    fn from(value: Oid) -> Datum {
        Datum::Oid(value.0)
    }
}
impl From<&str> for Datum {
    fn from(value: &str) -> Datum {
        Datum::Text(value.into())
    }
}
impl From<String> for Datum {
    fn from(value: String) -> Datum {
        Datum::Text(value.into())
    }
}
impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Datum {
        value.map_or(Datum::Null, Into::into)
    }
}
