//! `json_agg`, `json_object_agg` and their `jsonb` twins.
use super::*;
use crate::Oid;
use crate::functions::aggregate::Accumulator;
use crate::json::{write_string, write_value};

fn json_text(type_oid: Oid, value: Option<&Datum>, environment: &dyn Environment) -> String {
    let mut out = String::new();
    write_value(type_oid, value.unwrap_or(&Datum::Null), false, environment, &mut out);
    out
}

/// The parts of an array, in `json`'s spelling.
struct Elements {
    type_oid: Oid,
    parts: Vec<String>,
    binary: bool,
}
impl Accumulator for Elements {
    fn add(&mut self, environment: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.parts.push(json_text(self.type_oid, a.first(), environment));
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        if self.parts.is_empty() {
            return Ok(Datum::Null);
        }
        if self.binary {
            let items = self.parts.iter().map(|part| Json::parse(part)).collect::<PgResult<_>>()?;
            return Ok(shown(&Json::Array(items)));
        }
        let structured =
            self.type_oid == oid::RECORD || crate::user::is_row(self.type_oid) || crate::is_array(self.type_oid);
        Ok(Datum::text(format!("[{}]", self.parts.join(if structured { ", \n " } else { ", " }))))
    }
}
fn elements(types: &[Oid], binary: bool) -> Box<dyn Accumulator> {
    Box::new(Elements { type_oid: types.first().copied().unwrap_or(oid::TEXT), parts: Vec::new(), binary })
}
pub fn json_aggregate(types: &[Oid]) -> Box<dyn Accumulator> {
    elements(types, false)
}
pub fn jsonb_aggregate(types: &[Oid]) -> Box<dyn Accumulator> {
    elements(types, true)
}

struct Pairs {
    key_type: Oid,
    value_type: Oid,
    pairs: Vec<(String, String)>,
    binary: bool,
    any: bool,
}
impl Accumulator for Pairs {
    fn add(&mut self, environment: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.any = true;
        if a.first().is_none_or(Datum::is_null) {
            return Err(invalid("field name must not be null"));
        }
        let key = build::key_of(&json_text(self.key_type, a.first(), environment))?;
        self.pairs.push((key, json_text(self.value_type, a.get(1), environment)));
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        if !self.any {
            return Ok(Datum::Null);
        }
        let pairs = std::mem::take(&mut self.pairs);
        if self.binary {
            let pairs = pairs.into_iter().map(|(key, value)| Ok((key, Json::parse(&value)?)));
            return Ok(shown(&Json::object(pairs.collect::<PgResult<_>>()?)));
        }
        let mut out = String::from("{ ");
        for (at, (key, value)) in pairs.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            write_string(key, &mut out);
            out.push_str(" : ");
            out.push_str(value);
        }
        out.push_str(" }");
        Ok(Datum::text(out))
    }
}
fn pairs(types: &[Oid], binary: bool) -> Box<dyn Accumulator> {
    let type_at = |at: usize| types.get(at).copied().unwrap_or(oid::TEXT);
    Box::new(Pairs { key_type: type_at(0), value_type: type_at(1), pairs: Vec::new(), binary, any: false })
}
pub fn json_object_aggregate(types: &[Oid]) -> Box<dyn Accumulator> {
    pairs(types, false)
}
pub fn jsonb_object_aggregate(types: &[Oid]) -> Box<dyn Accumulator> {
    pairs(types, true)
}
