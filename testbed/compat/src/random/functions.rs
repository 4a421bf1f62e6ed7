//! Functions and casts, by the type that they give: a template each, with the types of what goes into it.
//!
//! None fails: what could (a logarithm of zero, a text that is no number) is kept from it by its template.
use super::grammar::Grammar;
use super::tree::{Kind, Node, Sort};
use Kind::{Bool, Date, Int, Json, Numeric, Text, Timestamp};

type Template = (&'static str, &'static str, &'static [Kind]);

const INT: &[Template] = &[
    ("mod", "mod(#, 3)", &[Int]),
    ("gcd", "gcd(#, 12)", &[Int]),
    ("sign", "sign(#)::int", &[Numeric]),
    ("strpos", "strpos(#, #)", &[Text, Text]),
    ("octet_length", "octet_length(#)", &[Text]),
    ("ascii", "ascii(#)", &[Text]),
    ("bool to int", "(#)::int", &[Bool]),
    ("int through numeric", "((#)::numeric)::int", &[Int]),
    ("int through bigint", "((#)::bigint)::int", &[Int]),
    ("int through float", "((#)::float8)::int", &[Int]),
    ("int through text", "((#)::text)::int", &[Int]),
    ("numeric to smallint", "(least(greatest(#, -9), 9))::smallint::int", &[Numeric]),
    ("bit and", "(# & 6)", &[Int]),
    ("bit or", "(# | #)", &[Int, Int]),
    ("shift", "(# << 1)", &[Int]),
    ("extract epoch", "(extract(epoch from #) / 86400)::int", &[Timestamp]),
    ("extract week", "extract(week from #)::int", &[Date]),
    ("extract quarter", "extract(quarter from #)::int", &[Timestamp]),
    ("date_part", "date_part('doy', #)::int", &[Date]),
    ("levels", "array_ndims(array[[#, 1], [2, #]])", &[Int, Int]),
    ("array sum", "(select sum(u) from unnest(array[#, #, 3]) u)::int", &[Int, Int]),
    ("regexp_count", "regexp_count(#, '[ab]')", &[Text]),
    ("regexp_instr", "regexp_instr(#, 'b')", &[Text]),
    ("num_nulls", "num_nulls(#, #)", &[Int, Text]),
    ("json to int", "(jsonb_build_object('k', #) ->> 'k')::int", &[Int]),
    ("numeric scale", "scale(#)", &[Numeric]),
];

const NUMERIC: &[Template] = &[
    ("round 2", "round(#, 2)", &[Numeric]),
    ("round -1", "round(#, -1)", &[Numeric]),
    ("div", "div(#, 3)", &[Numeric]),
    ("mod numeric", "mod(#, 0.7)", &[Numeric]),
    ("power", "power(least(greatest(#, -20), 20), 2)", &[Numeric]),
    ("sqrt", "round(sqrt(abs(#)), 6)", &[Numeric]),
    ("ln", "round(ln(abs(#) + 1), 6)", &[Numeric]),
    ("exp", "round(exp(least(greatest(#, -5), 5)), 6)", &[Numeric]),
    ("trim_scale", "trim_scale(#)", &[Numeric]),
    ("numeric typed", "(#)::numeric(12, 3)", &[Numeric]),
    ("numeric through float", "((#)::float8)::numeric(12, 4)", &[Numeric]),
    ("numeric through text", "((#)::text)::numeric", &[Numeric]),
    ("to_number", "to_number(to_char(#, 'S9999990.00'), 'S9999990.00')", &[Numeric]),
    ("extract seconds", "extract(second from #)", &[Timestamp]),
    ("float to numeric", "((#)::float8 / 4)::numeric", &[Int]),
];

const TEXT: &[Template] = &[
    ("overlay", "overlay(# placing 'XY' from 1 for 1)", &[Text]),
    ("reverse", "reverse(#)", &[Text]),
    ("repeat", "repeat(#, 2)", &[Text]),
    ("rpad", "rpad(#, 4, 'xy')", &[Text]),
    ("ltrim", "ltrim(#)", &[Text]),
    ("rtrim", "rtrim(#, 'ab')", &[Text]),
    ("initcap", "initcap(#)", &[Text]),
    ("md5", "md5(#)", &[Text]),
    ("right", "right(#, 1)", &[Text]),
    ("concat_ws", "concat_ws('/', #, #, #)", &[Text, Int, Bool]),
    ("quote_literal", "quote_literal(#)", &[Text]),
    ("quote_ident", "quote_ident(#)", &[Text]),
    ("quote_nullable", "quote_nullable(#)", &[Text]),
    ("regexp_replace", "regexp_replace(#, '[a-b]', '<\\&>', 'g')", &[Text]),
    ("regexp_match", "(regexp_match(#, '(a)(b)?'))::text", &[Text]),
    ("regexp_substr", "regexp_substr(#, '[abB]')", &[Text]),
    ("substring pattern", "substring(# from 'a(.)')", &[Text]),
    ("to_hex", "to_hex(#)", &[Int]),
    ("char typed", "(#)::char(3)", &[Text]),
    ("char compared", "((#)::char(3) = (#)::char(5))::text", &[Text, Text]),
    ("varchar typed", "(#)::varchar(1)", &[Text]),
    ("bool to text", "(#)::text", &[Bool]),
    ("timestamp to text", "(#)::text", &[Timestamp]),
    ("float to text", "((#)::float8)::text", &[Numeric]),
    ("real to text", "((#)::real)::text", &[Numeric]),
    ("bytes", "encode(convert_to(#, 'UTF8'), 'hex')", &[Text]),
    ("sha", "left(encode(sha256(convert_to(#, 'UTF8')), 'hex'), 8)", &[Text]),
    ("to_char date", "to_char(#, 'YYYY-MM-DD Dy DDD')", &[Date]),
    ("to_char timestamp", "to_char(#, 'HH24:MI:SS.MS AM')", &[Timestamp]),
    ("to_char numeric", "to_char(#, 'FM9990.099')", &[Numeric]),
    ("to_char int", "to_char(#, 'S0999')", &[Int]),
    ("string_to_array", "(string_to_array(#, 'b'))::text", &[Text]),
    ("array_to_string", "array_to_string(array[#, null, #], '-', '?')", &[Text, Text]),
    ("array_remove", "(array_remove(array[#, #, 'a'], 'a'))::text", &[Text, Text]),
    ("array_replace", "(array_replace(array[#, 3], 3, #))::text", &[Int, Int]),
    ("array_cat", "(array[#] || array[#, #])::text", &[Int, Int, Int]),
    ("array_prepend", "(# || array['z'])::text", &[Text]),
    ("trim_array", "(trim_array(array[#, #, 9], 1))::text", &[Int, Int]),
    ("array cast", "(array[#, #]::text[])::text", &[Int, Int]),
    ("row to text", "row(#, #, #)::text", &[Int, Text, Bool]),
    ("json typeof", "jsonb_typeof(#)", &[Json]),
    ("json pretty", "jsonb_pretty(#)", &[Json]),
    ("json row", "row_to_json(row(#, #))::text", &[Int, Text]),
    ("json array", "json_build_array(#, #, #)::text", &[Int, Text, Date]),
    ("json object", "json_build_object('k', #, 'l', #)::text", &[Numeric, Timestamp]),
    ("typeof", "pg_typeof(#)::text", &[Numeric]),
    ("justify", "justify_interval((# - #) * 40)::text", &[Timestamp, Timestamp]),
    ("time", "(#)::time::text", &[Timestamp]),
    ("left or right", "left(#, -1) || right(#, -1)", &[Text, Text]),
    ("chr", "chr((97 + abs(# % 5))::int)", &[Int]),
    ("uuid", "(lpad(to_hex(abs(#)), 32, '0'))::uuid::text", &[Int]),
];

const DATE: &[Template] = &[
    ("make_date", "make_date((2020 + abs(# % 10))::int, 2, (1 + abs(# % 28))::int)", &[Int, Int]),
    ("date of text", "((#)::text)::date", &[Date]),
    ("date_trunc date", "(date_trunc('month', #))::date", &[Date]),
    ("date through timestamptz", "((#)::timestamptz)::date", &[Date]),
    ("to_date", "to_date(to_char(#, 'YYYYMMDD'), 'YYYYMMDD')", &[Date]),
    ("date by months", "(# + interval '1 month')::date", &[Date]),
];

const TIMESTAMP: &[Template] = &[
    ("timestamp of text", "((#)::text)::timestamp", &[Timestamp]),
    ("timestamp at zone", "((# at time zone 'UTC') at time zone 'Europe/Berlin')", &[Timestamp]),
    ("timestamp typed", "(#)::timestamp(0)", &[Timestamp]),
    ("date_bin", "date_bin('7 days', #, timestamp '2001-01-01')", &[Timestamp]),
    ("date_trunc week", "date_trunc('week', #)", &[Timestamp]),
    ("date_trunc quarter", "date_trunc('quarter', #)", &[Timestamp]),
    ("make_timestamp", "make_timestamp(2024, (1 + abs(# % 12))::int, 1, abs(# % 24)::int, 30, 1.5)", &[Int, Int]),
    ("date and time", "(# + (#)::time)", &[Date, Timestamp]),
    ("timestamp and days", "(# - make_interval(days => (# % 50)::int))", &[Timestamp, Int]),
];

const BOOL: &[Template] = &[
    ("similar to", "(# similar to '(a|b)%')", &[Text]),
    ("overlaps", "((#, #) overlaps (date '2000-01-01', date '2024-02-10'))", &[Date, Date]),
    ("isfinite", "isfinite(#)", &[Date]),
    ("int to bool", "(#)::bool", &[Int]),
    ("bool through text", "((#)::text)::bool", &[Bool]),
    ("array contained", "(array[#] <@ array[1, 2, #])", &[Int, Int]),
    ("any of subquery array", "(# = any (array(select i from tb)))", &[Int]),
    ("all of subquery array", "(# <= all (array(select i from tc where i is not null)))", &[Int]),
    ("some", "(# < some (array[#, #]))", &[Text, Text, Text]),
    ("json contained", "(# <@ '{\"a\": 1, \"b\": 2}'::jsonb)", &[Json]),
    ("json any", "(# ?| array['a', 'b'])", &[Json]),
    ("json exists", "jsonb_exists(#, 'a')", &[Json]),
    ("mixed numbers", "(# = #)", &[Int, Numeric]),
    ("mixed floats", "((#)::float8 >= #)", &[Numeric, Int]),
    ("mixed times", "(# < #)", &[Date, Timestamp]),
    ("row order", "((#, #, #) < (#, #, #))", &[Int, Text, Bool, Int, Text, Bool]),
    ("row is null", "((#, #) is null)", &[Int, Text]),
    ("row is not null", "(row(#, #) is not null)", &[Int, Text]),
    ("row by subquery", "((#, #) = (select i, s from ta order by id limit 1))", &[Int, Text]),
    ("row in subquery", "((#, #) in (select i, f from tb))", &[Int, Bool]),
    ("row any subquery", "((#, #) <> all (select i, s from tc))", &[Int, Text]),
];

const JSON: &[Template] = &[
    ("jsonb_build_array", "jsonb_build_array(#, #)", &[Int, Text]),
    ("jsonb_strip_nulls", "jsonb_strip_nulls(jsonb_build_object('a', #, 'b', 1))", &[Int]),
    ("jsonb_insert", "jsonb_insert('[1, 2]', '{1}', to_jsonb(#))", &[Int]),
    ("jsonb subscript", "(jsonb_build_object('a', jsonb_build_array(#, 5)))['a'][0]", &[Int]),
    ("row to jsonb", "to_jsonb(row(#, #))", &[Int, Date]),
    ("jsonb of array", "to_jsonb(array[#, #])", &[Numeric, Numeric]),
];

impl Grammar<'_> {
    /// A function or a cast from the lists.
    pub fn function(&mut self, kind: Kind, depth: usize) -> Node {
        let templates = match kind {
            Int => INT,
            Numeric => NUMERIC,
            Text => TEXT,
            Date => DATE,
            Timestamp => TIMESTAMP,
            Bool => BOOL,
            Json => JSON,
        };
        loop {
            let (name, template, arguments) = self.pick(templates);
            let usable = self.with_json || !uses_json(template, kind, arguments);
            let has_subquery = template.contains("select ");
            if !usable || has_subquery && !self.may_nest() {
                continue;
            }
            self.coverage.note(name);
            let arguments = arguments.iter().map(|argument| self.value(*argument, depth)).collect();
            return Node::of(Sort::Value(kind), template, arguments);
        }
    }
}

fn uses_json(template: &str, kind: Kind, arguments: &[Kind]) -> bool {
    kind == Json || arguments.contains(&Json) || template.contains("json")
}

impl Grammar<'_> {
    /// An aggregate from the list, if there is one of the type. `@` is the first argument again, to order by.
    pub fn listed_aggregate(&mut self, kind: Kind, depth: usize) -> Option<Node> {
        let with_json = self.with_json;
        let fits = |(_, of, template, arguments): &&(&str, Kind, &str, &[Kind])| {
            *of == kind && (with_json || !uses_json(template, *of, arguments))
        };
        let fitting: Vec<_> = AGGREGATES.iter().filter(fits).copied().collect();
        if fitting.is_empty() {
            return None;
        }
        let (name, _, template, arguments) = self.pick(&fitting);
        self.coverage.note(name);
        let arguments: Vec<Node> = arguments.iter().map(|argument| self.value(*argument, depth)).collect();
        if !template.contains('@') {
            return Some(Node::of(Sort::Value(kind), template, arguments));
        }
        // As text: shrinking one of the two alone would leave the order open.
        let first = arguments[0].to_string();
        Some(Node::leaf(Sort::Value(kind), template.replace(['#', '@'], &first)))
    }
}

/// Aggregates by type, with the types of their arguments.
pub const AGGREGATES: &[(&str, Kind, &str, &[Kind])] = &[
    ("array_agg", Text, "array_agg(# order by @)::text", &[Int]),
    ("array_agg distinct", Text, "array_agg(distinct #)::text", &[Text]),
    ("string_agg distinct", Text, "string_agg(distinct #, '+')", &[Text]),
    ("jsonb_agg", Json, "jsonb_agg(# order by @ desc)", &[Int]),
    ("mode", Int, "(mode() within group (order by #))", &[Int]),
    ("percentile_disc", Int, "(percentile_disc(0.5) within group (order by #))", &[Int]),
    ("percentile_cont", Numeric, "(percentile_cont(0.25) within group (order by #))::numeric(12, 4)", &[Int]),
    ("every", Bool, "every(#)", &[Bool]),
    ("bit_and", Int, "bit_and(#)", &[Int]),
    ("bit_or", Int, "bit_or(#)", &[Int]),
    ("bit_xor", Int, "bit_xor(#)", &[Int]),
    ("var_pop", Numeric, "round(var_pop(#), 6)", &[Int]),
    ("stddev", Numeric, "round(stddev(#), 6)", &[Numeric]),
    ("corr", Numeric, "round(corr(#, #)::numeric, 6)", &[Int, Int]),
    ("regr_count", Int, "regr_count(#, #)::int", &[Int, Int]),
    ("avg distinct", Numeric, "avg(distinct #)", &[Int]),
    ("max array", Text, "max(array[#])::text", &[Int]),
    ("count row", Int, "count((#, #))::int", &[Int, Text]),
    ("hypothetical rank", Int, "(rank(2) within group (order by #))::int", &[Int]),
    ("min date distinct", Date, "min(distinct #)", &[Date]),
    ("max timestamp", Timestamp, "max(#)", &[Timestamp]),
];
