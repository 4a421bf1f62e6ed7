//! Statements that put the parts together in ways of their own: changes inside WITH, WITH that is used twice, walks through a graph, subqueries in
//! every clause, DISTINCT ON, WITH TIES, parts of a set operation with an order and limit of their own, functions that give rows.
use super::grammar::{Grammar, Scope};
use super::query::derived_scope;
use super::tree::{Kind, Node, Sort};

impl Grammar<'_> {
    /// A statement of a kind that `statement` does not make otherwise.
    pub fn wider_statement(&mut self) -> Node {
        match self.production(&[
            ("distinct on", 4),
            ("with ties", 2),
            ("with twice", 4),
            ("with changes", 5),
            ("recursive walk", 3),
            ("subqueries in every clause", 4),
            ("bounded parts", 3),
            ("rows of functions", 4),
            ("grouped by subquery", 2),
            ("windows by name", 4),
            ("change by subquery", 4),
        ]) {
            "distinct on" => self.distinct_on(),
            "with ties" => self.with_ties(),
            "with twice" => self.with_twice(),
            "with changes" => self.with_changes(),
            "recursive walk" => self.recursive_walk(),
            "subqueries in every clause" => self.subqueries_everywhere(),
            "bounded parts" => self.bounded_parts(),
            "rows of functions" => self.rows_of_functions(),
            "grouped by subquery" => self.grouped_by_subquery(),
            "windows by name" => self.named_windows(),
            _ => self.change_by_subquery(),
        }
    }

    /// The first row of each group, by the table's key among its equals.
    fn distinct_on(&mut self) -> Node {
        let (from, scope) = self.table();
        let key = scope.keys[0].clone();
        self.scopes.push(scope);
        let of = self.pick(&[Kind::Int, Kind::Text, Kind::Date, Kind::Bool]);
        let (on, value) = (self.value(of, 1), self.value(Kind::Text, 1));
        let condition = self.condition(1);
        self.scopes.pop();
        let direction = self.pick(&["", " desc", " nulls first", " desc nulls last"]);
        let on_text = on.to_string();
        let template = format!("select distinct on (#) {key}, # from # where # order by #{direction}, {key}");
        let again = Node::leaf(Sort::Other, on_text);
        Node::of(Sort::Other, &template, vec![on, value, from, condition, again])
    }

    fn with_ties(&mut self) -> Node {
        let kinds = [self.pick(&[Kind::Int, Kind::Bool, Kind::Text])];
        let query = self.subquery(&kinds, 1);
        let (count, offset) = (self.below(4), self.below(2));
        Node::of(Sort::Other, &format!("# order by 1 offset {offset} fetch first {count} rows with ties"), vec![query])
    }

    fn with_twice(&mut self) -> Node {
        let (name, left, right) = (self.alias(), self.alias(), self.alias());
        let inner = self.kinds(2);
        let query = self.subquery(&inner, 2);
        let how = self.production(&[("materialized", 2), ("not materialized", 2), ("plain with", 2)]);
        let how = if how == "plain with" { "" } else { how };
        let kind = self.pick(&["join", "left join", "full join"]);
        let mut scope = derived_scope(&left, &inner);
        let other = derived_scope(&right, &inner);
        scope.columns.extend(other.columns);
        scope.keys.extend(other.keys);
        let at = inner.iter().position(|kind| *kind != Kind::Json);
        let on = at.map_or("true".to_owned(), |at| format!("{left}.c{0} = {right}.c{0}", at + 1));
        let kind = if at.is_none() { "join" } else { kind };
        let from = Node::leaf(Sort::From, format!("{name} {left} {kind} {name} {right} on {on}"));
        let kinds = self.kinds(3);
        let main = self.select_over(&kinds, 1, 100, Some((from, scope)));
        let main = if kinds.contains(&Kind::Json) { main } else { self.order_and_limit(main, kinds.len()) };
        Node::of(Sort::Query, &format!("with {name} as {how} (#) #"), vec![query, main])
    }

    /// What a change returns is a table of the same statement, which does not see what was changed.
    fn with_changes(&mut self) -> Node {
        let name = self.alias();
        let table = self.pick(&super::data::TABLES);
        let kinds = self.kinds(2);
        self.scopes.push(self.own_scope(table));
        let condition = self.condition(1);
        let changed = self.value(Kind::Int, 1);
        let returned: Vec<Node> = kinds.iter().map(|kind| self.value(*kind, 1)).collect();
        self.scopes.pop();
        let list: Vec<String> = (1..=kinds.len()).map(|at| format!("# as c{at}")).collect();
        let list = list.join(", ");
        let (template, mut parts) = match self.production(&[("with update", 3), ("with delete", 3), ("with insert", 2)])
        {
            "with update" => (format!("update {table} set i = # where # returning {list}"), vec![changed, condition]),
            "with delete" => (format!("delete from {table} where # returning {list}"), vec![condition]),
            _ => (
                format!("insert into {table} (id, i) select id + 100, # from {table} where # returning {list}"),
                vec![changed, condition],
            ),
        };
        parts.extend(returned);
        let change = Node::of(Sort::Other, &template, parts);
        let alias = self.alias();
        let joined = self.alias();
        let mut scope = derived_scope(&alias, &kinds);
        scope.columns.push((format!("{joined}.i"), Kind::Int));
        scope.keys.push(format!("{joined}.id"));
        let from = Node::leaf(Sort::From, format!("{name} {alias}, {table} {joined}"));
        let shown = self.kinds(2);
        let main = self.select_over(&shown, 1, 100, Some((from, scope)));
        let text = Node::of(Sort::Other, &format!("with {name} as (#) #"), vec![change, main]);
        self.change(table, text)
    }

    /// Over edges that the table's own numbers make; UNION ends it in a circle.
    fn recursive_walk(&mut self) -> Node {
        let (name, table, alias) = (self.alias(), self.pick(&super::data::TABLES), self.alias());
        let start = self.below(4);
        let value = {
            let own = super::data::columns(self.with_json).map(|(name, kind, _)| (format!("e.{name}"), kind)).collect();
            self.scopes.push(Scope { columns: own, keys: vec!["e.id".into()] });
            let value = self.value(Kind::Text, 1);
            self.scopes.pop();
            value
        };
        let columns = vec![(format!("{alias}.c1"), Kind::Int), (format!("{alias}.c2"), Kind::Text)];
        let keys = columns.iter().map(|(name, _)| name.clone()).collect();
        let from = Node::leaf(Sort::From, format!("{name} {alias}"));
        let kinds = self.kinds(2);
        let main = self.select_over(&kinds, 1, 100, Some((from, Scope { columns, keys })));
        let main = if kinds.contains(&Kind::Json) { main } else { self.order_and_limit(main, kinds.len()) };
        let join = self.pick(&["e.i = w.c1", "e.id = w.c1 + 1", "e.id = w.c1 or e.i = w.c1"]);
        let template = format!(
            "with recursive {name} (c1, c2) as (select {start}, 'from'::text union select e.id, # from {name} w \
             join {table} e on {join}) #"
        );
        Node::of(Sort::Query, &template, vec![value, main])
    }

    fn subqueries_everywhere(&mut self) -> Node {
        let (from, scope) = self.table();
        let key = scope.keys[0].clone();
        self.scopes.push(scope);
        let shown = self.scalar_subquery(Kind::Text, 1);
        let rows = self.subquery(&[Kind::Int], 1);
        let pair = self.subquery(&[Kind::Int, Kind::Text], 1);
        let (one, two) = (self.value(Kind::Int, 1), self.value(Kind::Text, 1));
        let order = self.scalar_subquery(Kind::Int, 1);
        let not = self.pick(&["", "not "]);
        self.scopes.pop();
        let alias = self.alias();
        let template = format!(
            "select {key}, #, array(select {alias}.c1 from (#) {alias} order by 1)::text from # \
             where (#, #) {not}in (#) or {key} < 4 order by #, {key}"
        );
        Node::of(Sort::Other, &template, vec![shown, rows, from, one, two, pair, order])
    }

    /// Each side in its own order, cut, before the sides meet.
    fn bounded_parts(&mut self) -> Node {
        let mut kinds = self.kinds(2);
        kinds.iter_mut().filter(|kind| **kind == Kind::Json).for_each(|kind| *kind = Kind::Int);
        let order = (1..=kinds.len()).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
        let operator = self.pick(&["union", "union all", "intersect", "except", "intersect all", "except all"]);
        let other = self.pick(&["union", "union all", "except"]);
        let (left, right, third) = (self.subquery(&kinds, 1), self.subquery(&kinds, 1), self.subquery(&kinds, 1));
        let (first, second) = (1 + self.below(4), self.below(4));
        let template = format!(
            "(# order by {order} limit {first}) {operator} ((# order by {order} desc offset {second}) {other} (#))"
        );
        let query = Node::of(Sort::Query, &template, vec![left, right, third]);
        Node::of(Sort::Other, &format!("# order by {order}"), vec![query])
    }

    fn rows_of_functions(&mut self) -> Node {
        let (from, mut scope) = self.table();
        let alias = self.alias();
        let (call, kind) = match self.production(&[
            ("series by columns", 3),
            ("unnest of several", 2),
            ("split to rows", 2),
            ("json elements", if self.with_json { 2 } else { 0 }),
            ("json each", if self.with_json { 2 } else { 0 }),
            ("rows from", 2),
            ("regexp rows", 1),
            ("subscripts", 1),
            ("series of dates", 2),
        ]) {
            "series by columns" => ("generate_series(1, greatest(least(@.i, 4), 0))".to_owned(), Kind::Int),
            "unnest of several" => ("unnest(array[@.i, 2], array[@.s])".to_owned(), Kind::Int),
            "split to rows" => ("string_to_table(@.s, 'a')".to_owned(), Kind::Text),
            "json elements" => (
                "jsonb_array_elements_text(case jsonb_typeof(@.j) when 'array' then @.j else '[\"x\"]' end)".to_owned(),
                Kind::Text,
            ),
            "json each" => (
                "jsonb_each_text(case jsonb_typeof(@.j) when 'object' then @.j else '{\"k\": 1}' end)".to_owned(),
                Kind::Text,
            ),
            "rows from" => ("rows from (generate_series(1, 2), unnest(array[@.s, 'z']))".to_owned(), Kind::Int),
            "regexp rows" => ("regexp_split_to_table(@.s, 'b')".to_owned(), Kind::Text),
            "subscripts" => ("generate_subscripts(array[@.i, @.id], 1)".to_owned(), Kind::Int),
            _ => (
                "generate_series(@.d::timestamp, @.d::timestamp + interval '2 days', interval '1 day')".to_owned(),
                Kind::Timestamp,
            ),
        };
        let table_alias = scope.keys[0].split('.').next().expect("a key has its table's name").to_owned();
        let call = call.replace('@', &table_alias);
        let named = match call.as_str() {
            text if text.starts_with("jsonb_each") => format!("{alias} (k, c1)"),
            text if text.starts_with("unnest") || text.starts_with("rows") => format!("{alias} (c1, c2)"),
            _ => format!("with ordinality {alias} (c1, n)"),
        };
        let join = self.pick(&["cross join lateral @", "left join lateral @ on true"]);
        let join = join.replace('@', &format!("{call} {named}"));
        scope.columns.push((format!("{alias}.c1"), kind));
        scope.keys.push(format!("{alias}.c1"));
        let from = Node::of(Sort::From, &format!("# {join}"), vec![from]);
        let kinds = self.kinds(3);
        let query = self.select_over(&kinds, 1, 100, Some((from, scope)));
        if kinds.contains(&Kind::Json) { query } else { self.order_and_limit(query, kinds.len()) }
    }

    fn grouped_by_subquery(&mut self) -> Node {
        let (from, scope) = self.table();
        self.scopes.push(scope);
        let kind = self.pick(&[Kind::Int, Kind::Text, Kind::Bool]);
        let key = self.scalar_subquery(kind, 1);
        let condition = self.condition(1);
        self.scopes.pop();
        let having = self.pick(&["count(*) > 0", "count(*) > 1", "max(i) is not null", "bool_or(f)"]);
        let template =
            format!("select #, count(*), sum(i), min(s) from # where # group by 1 having {having} order by 1");
        Node::of(Sort::Other, &template, vec![key, from, condition])
    }

    /// Several functions over windows with names, one made from the other.
    fn named_windows(&mut self) -> Node {
        let (from, scope) = self.table();
        let key = scope.keys[0].clone();
        self.scopes.push(scope);
        let of = self.pick(&[Kind::Int, Kind::Text, Kind::Date, Kind::Bool]);
        let (by, order) = (self.value(of, 1), self.value(Kind::Int, 1));
        let (one, two) = (self.value(Kind::Int, 1), self.value(Kind::Numeric, 1));
        let filter = self.condition(1);
        let condition = self.condition(1);
        self.scopes.pop();
        let frame = self.frame();
        let direction = self.pick(&["", " desc", " desc nulls last", " nulls first"]);
        let first = self.pick(&["sum(#)", "min(#)", "max(#)", "avg(#)", "count(#)", "bit_or(#)"]);
        let ranking = self.pick(&["rank()", "dense_rank()", "percent_rank()", "cume_dist()"]);
        let second = self.pick(&["nth_value(#, 2)", "first_value(#)", "last_value(#)", "sum(#)"]);
        let template = format!(
            "select {key}, {first} filter (where #) over w, {ranking} over (partition by v_key order by o), {second} over (w2{frame}), \
             count(*) over (partition by v_key) from (select *, # as v_key, # as o from #) {} where # \
             window w as (partition by v_key), w2 as (w order by o{direction}, {key}) order by {key}",
            key.split('.').next().expect("a key has its table's name")
        );
        // The inner table has the outer one's name, so that every column means the same in both.
        Node::of(Sort::Other, &template, vec![one, filter, two, by, order, from, condition])
    }

    fn change_by_subquery(&mut self) -> Node {
        let table = self.pick(&super::data::TABLES);
        self.scopes.push(self.own_scope(table));
        let pair = self.scalar_pair();
        let other = self.scalar_subquery(Kind::Date, 1);
        let condition = self.condition(2);
        let returned = self.scalar_subquery(Kind::Int, 1);
        self.scopes.pop();
        let (template, parts) = match self.production(&[
            ("update by row", 3),
            ("update with", 2),
            ("delete with", 2),
            ("insert with", 2),
        ]) {
            "update by row" => (
                format!("update {table} set (i, s) = (#), d = # where # returning id, #"),
                vec![pair, other, condition, returned],
            ),
            "update with" => {
                let query = self.subquery(&[Kind::Int], 1);
                (
                    format!(
                        "with w as (#) update {table} set i = (select max(w.c1) from w) where id in (select c1 from w) or #"
                    ),
                    vec![query, condition],
                )
            }
            "delete with" => {
                let query = self.subquery(&[Kind::Int], 1);
                (
                    format!("with w as (#) delete from {table} where id in (select c1 from w) and # returning *"),
                    vec![query, condition],
                )
            }
            _ => {
                let query = self.subquery(&[Kind::Int, Kind::Text], 1);
                (
                    format!(
                        "with w as (#) insert into {table} (id, i, s) select 1000 + row_number() over (order by c1, c2), c1, c2 from w \
                         returning i, s"
                    ),
                    vec![query],
                )
            }
        };
        self.change(table, Node::of(Sort::Other, &template, parts))
    }

    /// One row of a number and a text, or none.
    fn scalar_pair(&mut self) -> Node {
        let query = self.subquery(&[Kind::Int, Kind::Text], 1);
        Node::of(Sort::Other, "# order by 1, 2 limit 1", vec![query])
    }
}
