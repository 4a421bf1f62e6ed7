//! What came later: enums, arrays, json's operators, intervals, row comparisons in lists, frames of all kinds, grouping sets and
//! recursive WITH. As with the rest, nothing in it can fail, and nothing is left to chance but by ORDER BY.
use super::grammar::{Grammar, Mode, Scope};
use super::tree::{Kind, Node, Part, Sort};

/// What the tables' setup makes before them.
pub const ENUM: &str = "create type mood as enum ('sad', 'ok', 'happy')";

impl Grammar<'_> {
    /// A condition over arrays, enums, json, intervals, rows.
    pub fn more_condition(&mut self, depth: usize) -> Node {
        use Kind::{Bool, Int, Text};
        let sort = Sort::Value(Bool);
        let json = self.with_json;
        match self.production(&[
            ("= any array", 3),
            ("<> all array", 2),
            ("array contains", 2),
            ("array overlaps", 1),
            ("array comparison", 2),
            ("enum comparison", 3),
            ("enum in list", 1),
            ("between symmetric", 2),
            ("like any array", 1),
            ("like all array", 1),
            ("row in list", 2),
            ("row is distinct", 1),
            ("interval comparison", 2),
            ("json ?", if json { 2 } else { 0 }),
            ("json @>", if json { 2 } else { 0 }),
            ("json =", if json { 1 } else { 0 }),
            ("starts_with", 1),
            ("regular expression", 1),
        ]) {
            "= any array" => self.filled(sort, "(# = any (array[#, #]))", &[Int, Int, Int], depth),
            "<> all array" => self.filled(sort, "(# <> all (array[#, #]))", &[Text, Text, Text], depth),
            "array contains" => self.filled(sort, "(array[#, #] @> array[#])", &[Int, Int, Int], depth),
            "array overlaps" => self.filled(sort, "(array[#, #] && array[#, #])", &[Text, Text, Text, Text], depth),
            "array comparison" => {
                let operator = self.pick(&["=", "<>", "<", ">="]);
                self.filled(sort, &format!("(array[#, #] {operator} array[#, #])"), &[Int, Int, Int, Int], depth)
            }
            "enum comparison" => {
                let operator = self.pick(&["=", "<>", "<", ">=", "is distinct from"]);
                let (left, right) = (self.mood(depth), self.mood(depth));
                Node::of(sort, &format!("(# {operator} #)"), vec![left, right])
            }
            "enum in list" => {
                let mood = self.mood(depth);
                let list = self.pick(&["'sad'", "'ok', 'happy'", "'sad', null"]);
                Node::of(sort, &format!("(# in ({list}))"), vec![mood])
            }
            "between symmetric" => {
                let not = self.pick(&["", "not "]);
                self.filled(sort, &format!("(# {not}between symmetric # and #)"), &[Int, Int, Int], depth)
            }
            "like any array" => self.filled(sort, "(# like any (array['a%', '%b', null]))", &[Text], depth),
            "like all array" => self.filled(sort, "(# not like all (array['a%', '%b']))", &[Text], depth),
            "row in list" => self.filled(sort, "((#, #) in ((#, #), (1, 'a')))", &[Int, Text, Int, Text], depth),
            "row is distinct" => self.filled(sort, "((#, #) is distinct from (#, #))", &[Int, Text, Int, Text], depth),
            "interval comparison" => {
                let operator = self.pick(&["=", "<", ">="]);
                let (left, right) = (self.interval(depth), self.interval(depth));
                Node::of(sort, &format!("(# {operator} #)"), vec![left, right])
            }
            "json ?" => self.filled(sort, "(# ? 'a')", &[Kind::Json], depth),
            "json @>" => self.filled(sort, "(# @> #)", &[Kind::Json, Kind::Json], depth),
            "json =" => self.filled(sort, "(# = #)", &[Kind::Json, Kind::Json], depth),
            "starts_with" => self.filled(sort, "starts_with(#, 'a')", &[Text], depth),
            _ => {
                let operator = self.pick(&["~", "~*", "!~"]);
                let pattern = self.pick(&["^a", "b$", "[a-b]+", "."]);
                self.filled(sort, &format!("(# {operator} '{pattern}')"), &[Text], depth)
            }
        }
    }

    /// A number that says something of an array, an interval, a window's row or json.
    pub fn more_int(&mut self, depth: usize) -> Node {
        use Kind::{Int, Text};
        let sort = Sort::Value(Int);
        let json = self.with_json;
        match self.production(&[
            ("subscript", 3),
            ("array_length", 2),
            ("array_position", 2),
            ("cardinality", 1),
            ("width_bucket", 1),
            ("interval days", 2),
            ("date - date", 2),
            ("json array length", if json { 1 } else { 0 }),
            ("enum position", 1),
        ]) {
            "subscript" => {
                let at = self.below(4);
                self.filled(sort, &format!("(array[#, #, 7])[{at}]"), &[Int, Int], depth)
            }
            "array_length" => self.filled(sort, "array_length(array[#, #] || #, 1)", &[Int, Int, Int], depth),
            "array_position" => self.filled(sort, "array_position(array[#, #], #)", &[Text, Text, Text], depth),
            "cardinality" => self.filled(sort, "cardinality(string_to_array(#, 'a'))", &[Text], depth),
            "width_bucket" => self.filled(sort, "width_bucket(#, 0, 10, 5)", &[Kind::Numeric], depth),
            "interval days" => {
                let interval = self.interval(depth);
                Node::of(sort, "extract(day from #)::int", vec![interval])
            }
            "date - date" => self.filled(sort, "(# - #)", &[Kind::Date, Kind::Date], depth),
            "json array length" => {
                self.filled(sort, "jsonb_array_length(jsonb_build_array(#, #))", &[Int, Kind::Json], depth)
            }
            _ => {
                let mood = self.mood(depth);
                Node::of(sort, "array_position(enum_range(null::mood), #)", vec![mood])
            }
        }
    }

    pub fn more_text(&mut self, depth: usize) -> Node {
        use Kind::{Int, Text};
        let sort = Sort::Value(Text);
        let json = self.with_json;
        match self.production(&[
            ("array to text", 2),
            ("array slice", 1),
            ("enum to text", 2),
            ("interval to text", 2),
            ("json #>>", if json { 2 } else { 0 }),
            ("json to text", if json { 1 } else { 0 }),
            ("split_part", 1),
            ("format", 1),
            ("translate", 1),
        ]) {
            "array to text" => self.filled(sort, "(array[#, #])::text", &[Text, Text], depth),
            "array slice" => self.filled(sort, "((array[#, #, 3])[2:3])::text", &[Int, Int], depth),
            "enum to text" => {
                let mood = self.mood(depth);
                Node::of(sort, "(#)::text", vec![mood])
            }
            "interval to text" => {
                let interval = self.interval(depth);
                Node::of(sort, "(#)::text", vec![interval])
            }
            "json #>>" => {
                let json = self.value(Kind::Json, depth);
                Node { sort, parts: vec![Part::Text("(".into()), Part::One(json), Part::Text(" #>> '{a}')".into())] }
            }
            "json to text" => self.filled(sort, "(#)::text", &[Kind::Json], depth),
            "split_part" => self.filled(sort, "split_part(#, 'a', 1)", &[Text], depth),
            "format" => self.filled(sort, "format('%s-%s', #, #)", &[Text, Int], depth),
            _ => self.filled(sort, "translate(#, 'ab', 'x')", &[Text], depth),
        }
    }

    pub fn more_json(&mut self, depth: usize) -> Node {
        use Kind::{Int, Json, Text};
        let sort = Sort::Value(Json);
        match self.production(&[
            ("json ->", 2),
            ("jsonb_build_object", 2),
            ("jsonb ||", 1),
            ("jsonb -", 1),
            ("to_jsonb", 2),
            ("jsonb_set", 1),
        ]) {
            "json ->" => self.filled(sort, "(# -> 'a')", &[Json], depth),
            "jsonb_build_object" => self.filled(sort, "jsonb_build_object('a', #, 'b', #)", &[Int, Text], depth),
            "jsonb ||" => self.filled(sort, "(# || #)", &[Json, Json], depth),
            "jsonb -" => self.filled(sort, "(jsonb_build_object('a', #) - 'a')", &[Int], depth),
            "to_jsonb" => {
                let of = self.pick(&[Int, Text, Kind::Numeric, Kind::Bool, Kind::Date]);
                self.filled(sort, "to_jsonb(#)", &[of], depth)
            }
            _ => self.filled(sort, "jsonb_set(jsonb_build_object('a', 1), '{a}', #)", &[Json], depth),
        }
    }

    fn filled(&mut self, sort: Sort, template: &str, arguments: &[Kind], depth: usize) -> Node {
        let arguments = arguments.iter().map(|argument| self.value(*argument, depth)).collect();
        Node::of(sort, template, arguments)
    }

    fn mood(&mut self, depth: usize) -> Node {
        if depth > 0 && self.chance(30) {
            let condition = self.condition(depth - 1);
            return Node::of(Sort::Other, "(case when # then 'happy' else 'sad' end)::mood", vec![condition]);
        }
        let mood = self.pick(&["'sad'::mood", "'ok'::mood", "'happy'::mood", "null::mood"]);
        Node::leaf(Sort::Other, mood)
    }

    fn interval(&mut self, depth: usize) -> Node {
        match self.production(&[
            ("interval literal", 3),
            ("timestamp - timestamp", 3),
            ("interval + interval", 1),
            ("interval * int", 1),
            ("age", 1),
        ]) {
            "timestamp - timestamp" => {
                let (left, right) = (self.value(Kind::Timestamp, depth), self.value(Kind::Timestamp, depth));
                Node::of(Sort::Other, "(# - #)", vec![left, right])
            }
            "interval + interval" if depth > 0 => {
                let (left, right) = (self.interval(depth - 1), self.interval(depth - 1));
                Node::of(Sort::Other, "(# + #)", vec![left, right])
            }
            "interval * int" => {
                let factor = self.pick(&["2", "-1", "0"]);
                Node::leaf(Sort::Other, format!("(interval '1 day 02:00' * {factor})"))
            }
            "age" => {
                let (left, right) = (self.value(Kind::Timestamp, depth), self.value(Kind::Timestamp, depth));
                Node::of(Sort::Other, "age(#, #)", vec![left, right])
            }
            _ => {
                let text = self.pick(&["1 day", "-2 hours", "1 mon 3 days", "00:00:01.5", "30 days"]);
                Node::leaf(Sort::Other, format!("interval '{text}'"))
            }
        }
    }

    /// `with recursive`: a count that ends, joined to what it is used for.
    pub fn recursive(&mut self) -> Node {
        let name = self.alias();
        let bound = self.pick(&["3", "4", "6"]);
        let step = self.value(Kind::Int, 1);
        let all = self.production(&[("recursive union all", 2), ("recursive union", 1)]);
        let operator = if all == "recursive union" { "union" } else { "union all" };
        let alias = self.alias();
        let columns = vec![(format!("{alias}.c1"), Kind::Int), (format!("{alias}.c2"), Kind::Int)];
        let keys = vec![format!("{alias}.c1"), format!("{alias}.c2")];
        let from = Node::leaf(Sort::From, format!("{name} {alias}"));
        let kinds = self.kinds(3);
        let main = self.select_over(&kinds, 1, 100, Some((from, Scope { columns, keys })));
        let main = if kinds.contains(&Kind::Json) { main } else { self.order_and_limit(main, kinds.len()) };
        let template = format!(
            "with recursive {name} (c1, c2) as (select 1, # {operator} select c1 + 1, c2 % 5 from {name} where c1 < {bound}) #"
        );
        Node::of(Sort::Query, &template, vec![step, main])
    }

    /// GROUP BY of sets: keys are columns, everything else aggregates.
    pub fn grouping_sets(&mut self) -> Node {
        let (from, scope) = self.table();
        self.scopes.push(scope);
        let kinds = [Kind::Int, Kind::Text, Kind::Bool];
        let first = self.pick(&kinds);
        let second = self.pick(&[Kind::Date, Kind::Numeric]);
        let keys: Vec<(String, Kind)> = [first, second]
            .into_iter()
            .filter_map(|kind| self.column(kind).map(|key| (key.to_string(), kind)))
            .collect();
        let names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
        let list = names.join(", ");
        let clause = match self.production(&[("rollup", 2), ("cube", 2), ("grouping sets", 2)]) {
            "rollup" => format!("rollup ({list})"),
            "cube" => format!("cube ({list})"),
            _ => format!("grouping sets (({list}), ({}), ())", names[0]),
        };
        let (mode, kept) =
            (std::mem::replace(&mut self.mode, Mode::Grouped), std::mem::replace(&mut self.group_keys, keys.clone()));
        let aggregate = self.value(Kind::Int, 1);
        (self.mode, self.group_keys) = (mode, kept);
        self.scopes.pop();
        let shown = format!("select {list}, grouping({list}), # from # group by {clause}");
        Node::of(Sort::Query, &shown, vec![aggregate, from])
    }

    /// A frame; over a total order of the rows, so that any will do.
    pub fn frame(&mut self) -> &'static str {
        let frames: [(&'static str, &'static str); 9] = [
            ("frame rows", " rows between 1 preceding and current row"),
            ("frame rows", " rows between unbounded preceding and 1 following"),
            ("frame rows", " rows between current row and unbounded following"),
            ("frame rows", " rows 2 preceding"),
            ("frame range or groups", " range between unbounded preceding and unbounded following"),
            ("frame range or groups", " groups between 1 preceding and 1 following"),
            ("frame exclude", " rows between 2 preceding and 2 following exclude current row"),
            ("frame exclude", " groups between 1 preceding and current row exclude ties"),
            ("frame exclude", " range between current row and unbounded following exclude group"),
        ];
        let (production, text) = self.pick(&frames);
        self.coverage.note(production);
        text
    }

    /// INSERT ... ON CONFLICT in more ways: a constraint's name, several values, what was there.
    pub fn conflict(&mut self, table: &str) -> Node {
        match self.production(&[("conflict do nothing", 2), ("conflict on constraint", 1), ("conflict excluded", 2)]) {
            "conflict do nothing" => Node::leaf(Sort::Other, " on conflict (id) do nothing"),
            "conflict on constraint" => {
                let value = self.value(Kind::Int, 1);
                let template = format!(" on conflict on constraint {table}_pkey do update set i = #");
                Node::of(Sort::Other, &template, vec![value])
            }
            _ => {
                let value = self.value(Kind::Text, 1);
                let template = " on conflict (id) do update set (i, s) = (excluded.i, #), f = excluded.f is not distinct from true";
                Node::of(Sort::Other, template, vec![value])
            }
        }
    }

    /// Rows of an array or of a json array, with their numbers.
    pub fn unnested(&mut self) -> (Node, Scope) {
        let alias = self.alias();
        let columns = vec![(format!("{alias}.c1"), Kind::Int), (format!("{alias}.c2"), Kind::Int)];
        let keys = vec![format!("{alias}.c2")];
        let values = self.pick(&["{3,1,null,2}", "{}", "{7}"]);
        let text = format!("unnest('{values}'::int[]) with ordinality {alias} (c1, c2)");
        (Node::leaf(Sort::From, text), Scope { columns, keys })
    }
}
