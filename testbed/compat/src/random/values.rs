//! Expressions, by the type that they have. None can fail: divisors are never zero where they are evaluated, numbers stay
//! small, so that an error is a finding and not a matter of which row was looked at first.
use super::grammar::{Grammar, Mode};
use super::tree::{Kind, Node, Part, Sort};

const COMPARABLE: [Kind; 6] = [Kind::Int, Kind::Numeric, Kind::Text, Kind::Date, Kind::Timestamp, Kind::Bool];
const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

impl Grammar<'_> {
    pub fn value(&mut self, kind: Kind, depth: usize) -> Node {
        if depth == 0 || self.chance(25) {
            return self.leaf(kind, depth);
        }
        if self.chance(22) {
            return self.general(kind, depth - 1);
        }
        if self.chance(20) {
            return self.function(kind, depth - 1);
        }
        if self.chance(14) {
            match kind {
                Kind::Int => return self.more_int(depth - 1),
                Kind::Text => return self.more_text(depth - 1),
                Kind::Bool => return self.more_condition(depth - 1),
                Kind::Json => return self.more_json(depth - 1),
                _ => {}
            }
        }
        match kind {
            Kind::Int => self.int(depth - 1),
            Kind::Numeric => self.numeric(depth - 1),
            Kind::Text => self.text(depth - 1),
            Kind::Date => self.date(depth - 1),
            Kind::Timestamp => self.timestamp(depth - 1),
            Kind::Bool => self.condition(depth - 1),
            Kind::Json => self.leaf(kind, depth),
        }
    }

    fn leaf(&mut self, kind: Kind, depth: usize) -> Node {
        if self.mode == Mode::Grouped {
            let keys: Vec<String> =
                self.group_keys.iter().filter(|(_, of)| *of == kind).map(|(key, _)| key.clone()).collect();
            if !keys.is_empty() && self.chance(60) {
                self.coverage.note("grouping key");
                let at = self.below(keys.len());
                return Node::leaf(Sort::Value(kind), keys[at].as_str());
            }
            return if self.chance(85) { self.aggregate(kind, depth) } else { self.literal(kind) };
        }
        match self.chance(72).then(|| self.column(kind)).flatten() {
            Some(column) => column,
            None => self.literal(kind),
        }
    }

    fn call(&mut self, kind: Kind, template: &str, arguments: &[Kind], depth: usize) -> Node {
        let arguments = arguments.iter().map(|argument| self.value(*argument, depth)).collect();
        Node::of(Sort::Value(kind), template, arguments)
    }

    /// What there is for every type.
    fn general(&mut self, kind: Kind, depth: usize) -> Node {
        let subquery = if self.may_nest() { 4 } else { 0 };
        match self.production(&[
            ("coalesce", 3),
            ("nullif", if kind == Kind::Json { 0 } else { 2 }),
            ("case searched", 4),
            ("case simple", 2),
            ("greatest", if kind == Kind::Json { 0 } else { 1 }),
            ("least", if kind == Kind::Json { 0 } else { 1 }),
            ("scalar subquery", subquery),
        ]) {
            "coalesce" => self.call(kind, "coalesce(#, #)", &[kind, kind], depth),
            "nullif" => self.call(kind, "nullif(#, #)", &[kind, kind], depth),
            "case searched" => self.call(kind, "case when # then # else # end", &[Kind::Bool, kind, kind], depth),
            "case simple" => {
                let of = self.pick(&COMPARABLE);
                self.call(kind, "case # when # then # when # then # end", &[of, of, kind, of, kind], depth)
            }
            "greatest" => self.call(kind, "greatest(#, #)", &[kind, kind], depth),
            "least" => self.call(kind, "least(#, #)", &[kind, kind], depth),
            _ => self.scalar_subquery(kind, depth),
        }
    }

    fn int(&mut self, depth: usize) -> Node {
        use Kind::{Int, Numeric, Text};
        let plain = self.mode == Mode::Plain;
        match self.production(&[
            ("int +", 3),
            ("int -", 3),
            ("int *", 2),
            ("int / literal", 3),
            ("int % literal", 1),
            ("int / nullif", 2),
            ("guarded division", if plain { 3 } else { 0 }),
            ("int negation", 1),
            ("abs", 1),
            ("length", 1),
            ("numeric to int", 1),
            ("extract", 1),
            ("position", 1),
        ]) {
            "int +" => self.call(Int, "(# + #)", &[Int, Int], depth),
            "int -" => self.call(Int, "(# - #)", &[Int, Int], depth),
            "int *" => {
                let factor = self.pick(&["2", "3", "-1"]);
                self.call(Int, &format!("(# * {factor})"), &[Int], depth)
            }
            "int / literal" => {
                let divisor = self.pick(&["2", "3", "-2", "4"]);
                self.call(Int, &format!("(# / {divisor})"), &[Int], depth)
            }
            "int % literal" => self.call(Int, "(# % 3)", &[Int], depth),
            "int / nullif" => self.call(Int, "(# / nullif(#, 0))", &[Int, Int], depth),
            "guarded division" => match self.column(Int) {
                Some(column) => {
                    let divisor = column.to_string();
                    Node::of(
                        Sort::Value(Int),
                        &format!("case when {divisor} = 0 then # else 10 / {divisor} end"),
                        vec![self.value(Int, depth)],
                    )
                }
                None => self.literal(Int),
            },
            "int negation" => self.call(Int, "(- #)", &[Int], depth),
            "abs" => self.call(Int, "abs(#)", &[Int], depth),
            "length" => self.call(Int, "length(#)", &[Text], depth),
            "numeric to int" => self.call(Int, "(#)::int", &[Numeric], depth.min(1)),
            "extract" => {
                let field = self.pick(&["year", "month", "day", "dow"]);
                self.call(Int, &format!("extract({field} from #)::int"), &[Kind::Date], depth)
            }
            _ => self.call(Int, "position(# in #)", &[Text, Text], depth),
        }
    }

    fn numeric(&mut self, depth: usize) -> Node {
        use Kind::{Int, Numeric};
        match self.production(&[
            ("numeric +", 3),
            ("numeric -", 3),
            ("numeric *", 2),
            ("numeric / nullif", 2),
            ("round", 2),
            ("trunc", 1),
            ("floor", 1),
            ("ceil", 1),
            ("int to numeric", 2),
            ("numeric negation", 1),
        ]) {
            "numeric +" => self.call(Numeric, "(# + #)", &[Numeric, Numeric], depth),
            "numeric -" => self.call(Numeric, "(# - #)", &[Numeric, Numeric], depth),
            "numeric *" => self.call(Numeric, "(# * #)", &[Numeric, Numeric], depth.min(1)),
            "numeric / nullif" => self.call(Numeric, "(# / nullif(#, 0))", &[Numeric, Numeric], depth.min(1)),
            "round" => self.call(Numeric, "round(#, 1)", &[Numeric], depth),
            "trunc" => self.call(Numeric, "trunc(#)", &[Numeric], depth),
            "floor" => self.call(Numeric, "floor(#)", &[Numeric], depth),
            "ceil" => self.call(Numeric, "ceil(#)", &[Numeric], depth),
            "int to numeric" => self.call(Numeric, "(#)::numeric", &[Int], depth),
            _ => self.call(Numeric, "(- #)", &[Numeric], depth),
        }
    }

    fn text(&mut self, depth: usize) -> Node {
        use Kind::{Date, Int, Numeric, Text};
        match self.production(&[
            ("||", 4),
            ("upper", 1),
            ("lower", 1),
            ("substr", 2),
            ("replace", 1),
            ("trim", 1),
            ("left", 1),
            ("lpad", 1),
            ("int to text", 2),
            ("numeric to text", 1),
            ("date to text", 1),
            ("concat", 1),
            ("json ->>", if self.with_json { 1 } else { 0 }),
        ]) {
            "||" => self.call(Text, "(# || #)", &[Text, Text], depth),
            "upper" => self.call(Text, "upper(#)", &[Text], depth),
            "lower" => self.call(Text, "lower(#)", &[Text], depth),
            "substr" => {
                let (from, count) = (self.below(3), self.below(3));
                self.call(Text, &format!("substr(#, {from}, {count})"), &[Text], depth)
            }
            "replace" => self.call(Text, "replace(#, 'a', 'xy')", &[Text], depth),
            "trim" => self.call(Text, "btrim(#, 'a')", &[Text], depth),
            "left" => {
                let count = self.pick(&["1", "2", "-1", "0"]);
                self.call(Text, &format!("left(#, {count})"), &[Text], depth)
            }
            "lpad" => self.call(Text, "lpad(#, 3, '*')", &[Text], depth),
            "int to text" => self.call(Text, "(#)::text", &[Int], depth),
            "numeric to text" => self.call(Text, "(#)::text", &[Numeric], depth),
            "date to text" => self.call(Text, "(#)::text", &[Date], depth),
            "concat" => self.call(Text, "concat(#, '-', #)", &[Text, Int], depth),
            _ => self.call(Text, "(# ->> 'a')", &[Kind::Json], depth),
        }
    }

    fn date(&mut self, depth: usize) -> Node {
        use Kind::{Date, Timestamp};
        match self.production(&[("date + int", 2), ("date - int", 1), ("timestamp to date", 2)]) {
            "date + int" => self.call(Date, "(# + 30)", &[Date], depth),
            "date - int" => self.call(Date, "(# - 1)", &[Date], depth),
            _ => self.call(Date, "(#)::date", &[Timestamp], depth),
        }
    }

    fn timestamp(&mut self, depth: usize) -> Node {
        use Kind::{Date, Timestamp};
        match self.production(&[("timestamp + interval", 3), ("date_trunc", 2), ("date to timestamp", 2)]) {
            "timestamp + interval" => {
                let interval = self.pick(&["1 month", "-1 day", "36 hours", "1 year 2 days"]);
                self.call(Timestamp, &format!("(# + interval '{interval}')"), &[Timestamp], depth)
            }
            "date_trunc" => {
                let field = self.pick(&["month", "day", "hour"]);
                self.call(Timestamp, &format!("date_trunc('{field}', #)"), &[Timestamp], depth)
            }
            _ => self.call(Timestamp, "(#)::timestamp", &[Date], depth),
        }
    }

    pub fn condition(&mut self, depth: usize) -> Node {
        use Kind::{Bool, Text};
        let subqueries = if self.may_nest() { 1 } else { 0 };
        let production = self.production(&[
            ("comparison", 12),
            ("and", 5),
            ("or", 5),
            ("not", 3),
            ("is null", 3),
            ("is not null", 2),
            ("is distinct from", 2),
            ("between", 4),
            ("not between", 2),
            ("in list", 3),
            ("not in list", 3),
            ("in subquery", 4 * subqueries),
            ("not in subquery", 4 * subqueries),
            ("exists", 3 * subqueries),
            ("not exists", 3 * subqueries),
            ("any subquery", 2 * subqueries),
            ("all subquery", 2 * subqueries),
            ("like", 2),
            ("is truth value", 2),
            ("row comparison", 1),
        ]);
        let of = self.pick(&COMPARABLE);
        match production {
            "comparison" => {
                let operator = self.pick(&COMPARISONS);
                self.call(Bool, &format!("(# {operator} #)"), &[of, of], depth)
            }
            "and" => self.call(Bool, "(# and #)", &[Bool, Bool], depth),
            "or" => self.call(Bool, "(# or #)", &[Bool, Bool], depth),
            "not" => self.call(Bool, "(not #)", &[Bool], depth),
            "is null" => self.call(Bool, "(# is null)", &[of], depth),
            "is not null" => self.call(Bool, "(# is not null)", &[of], depth),
            "is distinct from" => self.call(Bool, "(# is distinct from #)", &[of, of], depth),
            "between" => self.call(Bool, "(# between # and #)", &[of, of, of], depth),
            "not between" => self.call(Bool, "(# not between # and #)", &[of, of, of], depth),
            "in list" => self.list(of, "in", depth),
            "not in list" => self.list(of, "not in", depth),
            "in subquery" => self.quantified(of, "in", depth),
            "not in subquery" => self.quantified(of, "not in", depth),
            "any subquery" => {
                let operator = self.pick(&COMPARISONS);
                self.quantified(of, &format!("{operator} any"), depth)
            }
            "all subquery" => {
                let operator = self.pick(&COMPARISONS);
                self.quantified(of, &format!("{operator} all"), depth)
            }
            "exists" => Node::of(Sort::Value(Bool), "(exists (#))", vec![self.subquery(&[of], depth)]),
            "not exists" => Node::of(Sort::Value(Bool), "(not exists (#))", vec![self.subquery(&[of], depth)]),
            "like" => {
                let operator = self.pick(&["like", "not like", "ilike"]);
                let pattern = self.pick(&["'a%'", "'%b'", "'_'", "''", "'%'", "'a\\%'"]);
                self.call(Bool, &format!("(# {operator} {pattern})"), &[Text], depth)
            }
            "is truth value" => {
                let value = self.pick(&["true", "false", "unknown", "not true", "not false", "not unknown"]);
                self.call(Bool, &format!("(# is {value})"), &[Bool], depth)
            }
            _ => {
                let other = self.pick(&COMPARABLE);
                let operator = self.pick(&COMPARISONS);
                self.call(Bool, &format!("((#, #) {operator} (#, #))"), &[of, other, of, other], depth)
            }
        }
    }

    fn list(&mut self, of: Kind, operator: &str, depth: usize) -> Node {
        let value = self.value(of, depth);
        let count = 1 + self.below(3);
        let items = (0..count).map(|_| self.value(of, depth.min(1))).collect();
        Node {
            sort: Sort::Value(Kind::Bool),
            parts: vec![
                Part::Text("(".into()),
                Part::One(value),
                Part::Text(format!(" {operator} (")),
                Part::List { separator: ", ", least: 1, items },
                Part::Text("))".into()),
            ],
        }
    }

    fn quantified(&mut self, of: Kind, operator: &str, depth: usize) -> Node {
        let value = self.value(of, depth);
        let query = self.subquery(&[of], depth);
        Node::of(Sort::Value(Kind::Bool), &format!("(# {operator} (#))"), vec![value, query])
    }

    /// Over rows of the query's FROM, so its arguments are plain.
    fn aggregate(&mut self, kind: Kind, depth: usize) -> Node {
        use Kind::{Bool, Int, Numeric, Text};
        let production = match kind {
            Int => self.production(&[
                ("count(*)", 3),
                ("count", 3),
                ("count distinct", 3),
                ("sum int", 3),
                ("sum distinct", 1),
                ("min", 1),
                ("max", 1),
            ]),
            Numeric => {
                self.production(&[("avg int", 2), ("avg numeric", 2), ("sum numeric", 2), ("min", 1), ("max", 1)])
            }
            Text => self.production(&[("string_agg", 3), ("min", 1), ("max", 1)]),
            Bool => self.production(&[("bool_and", 1), ("bool_or", 1)]),
            Kind::Json => return self.literal(kind),
            Kind::Date | Kind::Timestamp => self.production(&[("min", 1), ("max", 1)]),
        };
        self.mode = Mode::Plain;
        self.own_columns_only = true;
        let depth = depth.min(2);
        let listed = self.chance(25).then(|| self.listed_aggregate(kind, depth)).flatten();
        let is_listed = listed.is_some();
        let call = match production {
            _ if listed.is_some() => listed.expect("just looked at"),
            "count(*)" => Node::leaf(Sort::Value(Int), "count(*)"),
            "count" => {
                let of = self.pick(&COMPARABLE);
                self.call(Int, "count(#)", &[of], depth)
            }
            "count distinct" => {
                let of = self.pick(&COMPARABLE);
                self.call(Int, "count(distinct #)", &[of], depth)
            }
            "sum int" => self.call(Int, "sum(#)", &[Int], depth),
            "sum distinct" => self.call(Int, "sum(distinct #)", &[Int], depth),
            "avg int" => self.call(Numeric, "avg(#)", &[Int], depth),
            "avg numeric" => self.call(Numeric, "avg(#)", &[Numeric], depth),
            "sum numeric" => self.call(Numeric, "sum(#)", &[Numeric], depth),
            "string_agg" => {
                let value = self.value(Text, depth);
                let order = value.to_string();
                // The order is the value's own, so that rows that tie are alike.
                match self.column(Text) {
                    Some(column) => {
                        Node::leaf(Sort::Value(Text), format!("string_agg({column}, ',' order by {column})"))
                    }
                    None => Node::leaf(Sort::Value(Text), format!("string_agg({order}, ',' order by {order})")),
                }
            }
            "bool_and" => self.call(Bool, "bool_and(#)", &[Bool], depth),
            "bool_or" => self.call(Bool, "bool_or(#)", &[Bool], depth),
            name => {
                let name = if name == "min" { "min" } else { "max" };
                self.call(kind, &format!("{name}(#)"), &[kind], depth)
            }
        };
        // What wraps a listed one is no aggregate.
        let filtered = if !is_listed && self.chance(20) {
            self.coverage.note("filter");
            let condition = self.condition(depth.min(1));
            let clause = Node::of(Sort::Other, " filter (where #)", vec![condition]);
            Node { sort: call.sort, parts: vec![Part::One(call), Part::Optional(clause)] }
        } else {
            call
        };
        self.mode = Mode::Grouped;
        self.own_columns_only = false;
        filtered
    }

    pub fn may_nest(&self) -> bool {
        self.mode == Mode::Plain && !self.own_columns_only
    }

    /// A window function over the query's rows in a total order.
    pub fn window(&mut self, kind: Kind) -> Option<Node> {
        let keys = self.scopes.last().map(|scope| scope.keys.join(", ")).filter(|keys| !keys.is_empty())?;
        let function = match kind {
            Kind::Int => self.production(&[
                ("row_number", 3),
                ("rank", 2),
                ("dense_rank", 1),
                ("ntile", 1),
                ("window count", 2),
                ("window sum", 3),
                ("lag", 1),
                ("first_value", 1),
            ]),
            Kind::Json => return None,
            _ => self.production(&[("lag", 1), ("lead", 1), ("first_value", 1), ("last_value", 1)]),
        };
        let value = self.value(kind, 1);
        let (call, ordered) = match function {
            "row_number" => ("row_number()".to_owned(), true),
            "rank" => ("rank()".to_owned(), true),
            "dense_rank" => ("dense_rank()".to_owned(), true),
            "ntile" => ("ntile(2)".to_owned(), true),
            "window count" => (format!("count({value})"), self.chance(60)),
            "window sum" => (format!("sum({value})"), self.chance(60)),
            "lag" => (format!("lag({value}, 1)"), true),
            "lead" => (format!("lead({value})"), true),
            "first_value" => (format!("first_value({value})"), true),
            _ => (format!("last_value({value})"), true),
        };
        let mut parts = vec![Part::Text(format!("{call} over ("))];
        if self.chance(50) {
            self.coverage.note("partition by");
            let of = self.pick(&COMPARABLE);
            let by = self.value(of, 1);
            parts.push(Part::Optional(Node::of(Sort::Other, "partition by # ", vec![by])));
        }
        if ordered {
            let direction = self.pick(&["", " desc"]);
            let first = if function.ends_with("rank") && self.chance(70) {
                // Peers are what rank is about; ties among them change nothing.
                let of = self.pick(&COMPARABLE);
                format!("{}{direction}", self.value(of, 1))
            } else {
                keys
            };
            parts.push(Part::Text(format!("order by {first}")));
            if ["window sum", "window count", "last_value"].contains(&function) && self.chance(50) {
                self.coverage.note("frame");
                let frame = self.frame();
                parts.push(Part::Optional(Node::leaf(Sort::Other, frame)));
            }
        }
        parts.push(Part::Text(")".into()));
        Some(Node { sort: Sort::Value(kind), parts })
    }
}
