//! Queries and changes. A query is asked for by the types of its columns, so that set operations and subqueries fit.
use super::data::{TABLES, columns};
use super::grammar::{Grammar, Mode, Scope};
use super::tree::{Kind, Node, Part, Sort};

/// How deep queries stand in queries.
const NESTING_MAX: usize = 3;

impl Grammar<'_> {
    /// A statement, or a few in one text: a change goes with a look at its table and is taken back.
    pub fn statement(&mut self) -> Node {
        match self.production(&[
            ("select", 60),
            ("wider", 30),
            ("set operation at the top", 12),
            ("with", 8),
            ("with recursive", 4),
            ("grouping", 4),
            ("values", 2),
            ("insert", 5),
            ("update", 7),
            ("delete", 6),
        ]) {
            "select" => {
                let kinds = self.kinds(4);
                self.ordered(&kinds, false)
            }
            "set operation at the top" => {
                let kinds = self.kinds(3);
                self.ordered(&kinds, true)
            }
            "wider" => self.wider_statement(),
            "with" => self.with(),
            "with recursive" => self.recursive(),
            "grouping" => self.grouping_sets(),
            "values" => {
                let kinds = self.kinds(3);
                self.values_list(&kinds)
            }
            "insert" => self.insert(),
            "update" => self.update(),
            _ => self.delete(),
        }
    }

    /// At the top: rows in a total order, or in any.
    fn ordered(&mut self, kinds: &[Kind], set_operation: bool) -> Node {
        let query = if set_operation { self.set_operation(kinds, 2) } else { self.select(kinds, 3, 70) };
        let json = kinds.contains(&Kind::Json);
        if json || self.chance(45) {
            return query;
        }
        self.order_and_limit(query, kinds.len())
    }

    /// By every column, so that rows that tie are equal.
    pub fn order_and_limit(&mut self, query: Node, column_count: usize) -> Node {
        self.coverage.note("order by");
        let mut order: Vec<usize> = (1..=column_count).collect();
        for at in (1..order.len()).rev() {
            let other = self.below(at + 1);
            order.swap(at, other);
        }
        let directions = order.into_iter().map(|ordinal| {
            let direction = self.pick(&[
                "",
                "",
                " asc",
                " desc",
                " desc",
                " nulls first",
                " desc nulls last",
                " asc nulls last",
                " desc nulls first",
            ]);
            if direction.contains("nulls") {
                self.coverage.note("nulls first/last");
            }
            (ordinal, direction)
        });
        let mut parts = vec![Part::Text(" order by ".into()), Part::Order(directions.collect())];
        if self.chance(45) {
            self.coverage.note("limit");
            let count = self.below(5);
            parts.push(Part::Optional(Node::leaf(Sort::Other, format!(" limit {count}"))));
        }
        if self.chance(20) {
            self.coverage.note("offset");
            let count = self.below(4);
            parts.push(Part::Optional(Node::leaf(Sort::Other, format!(" offset {count}"))));
        }
        // Limits say something only with the order, so they go with it.
        Node { sort: Sort::Query, parts: vec![Part::One(query), Part::Optional(Node::other(parts))] }
    }

    /// A query whose columns are called c1, c2 ... for use inside another.
    pub fn subquery(&mut self, kinds: &[Kind], depth: usize) -> Node {
        let (mode, keys) = (std::mem::replace(&mut self.mode, Mode::Plain), std::mem::take(&mut self.group_keys));
        let query = if self.scopes.len() < NESTING_MAX && self.chance(15) {
            self.set_operation(kinds, depth.min(1))
        } else {
            self.select(kinds, depth.min(2), 100)
        };
        (self.mode, self.group_keys) = (mode, keys);
        query
    }

    pub fn scalar_subquery(&mut self, kind: Kind, depth: usize) -> Node {
        let sort = Sort::Value(kind);
        if kind != Kind::Json && self.chance(40) {
            self.coverage.note("scalar subquery with limit");
            let query = self.subquery(&[kind], depth);
            let ordered = Node::of(Sort::Query, "# order by 1 limit 1", vec![query]);
            return Node::of(sort, "(#)", vec![ordered]);
        }
        // One row, for the key says so, or none.
        let table = self.pick(&TABLES);
        let alias = self.alias();
        let mut scope = Scope::default();
        scope.columns.extend(columns(self.with_json).map(|(name, of, _)| (format!("{alias}.{name}"), of)));
        scope.keys.push(format!("{alias}.id"));
        let outer = self.value(Kind::Int, depth.min(1));
        self.scopes.push(scope);
        let value = self.value(kind, depth.min(1));
        self.scopes.pop();
        Node::of(sort, &format!("(select # from {table} {alias} where {alias}.id = #)"), vec![value, outer])
    }

    pub fn set_operation(&mut self, kinds: &[Kind], depth: usize) -> Node {
        let json = kinds.contains(&Kind::Json);
        let operator = match json {
            true => self.production(&[("union all", 1)]),
            false => self.production(&[
                ("union", 3),
                ("union all", 3),
                ("intersect", 2),
                ("intersect all", 2),
                ("except", 2),
                ("except all", 3),
            ]),
        };
        let left = self.select(kinds, depth, 100);
        let right = match depth > 0 && self.chance(25) {
            true => self.set_operation(kinds, depth - 1),
            false => self.select(kinds, depth, 100),
        };
        Node::of(Sort::Query, &format!("# {operator} (#)"), vec![left, right])
    }

    fn with(&mut self) -> Node {
        let name = self.alias();
        let inner = self.kinds(3);
        let query = self.subquery(&inner, 2);
        let alias = self.alias();
        let from = Node::leaf(Sort::From, format!("{name} {alias}"));
        let scope = derived_scope(&alias, &inner);
        let kinds = self.kinds(3);
        let main = self.select_over(&kinds, 2, 100, Some((from, scope)));
        let main = if kinds.contains(&Kind::Json) { main } else { self.order_and_limit(main, kinds.len()) };
        Node::of(Sort::Query, &format!("with {name} as (#) #"), vec![query, main])
    }

    fn values_list(&mut self, kinds: &[Kind]) -> Node {
        let count = 1 + self.below(3);
        let rows = (0..count)
            .map(|_| {
                let items = kinds.iter().map(|kind| self.value(*kind, 1)).collect();
                let list = Part::List { separator: ", ", least: kinds.len(), items };
                Node::other(vec![Part::Text("(".into()), list, Part::Text(")".into())])
            })
            .collect();
        Node {
            sort: Sort::Query,
            parts: vec![Part::Text("values ".into()), Part::List { separator: ", ", least: 1, items: rows }],
        }
    }

    /// `named`: percentage of columns that are called c1, c2 ...
    fn select(&mut self, kinds: &[Kind], depth: usize, named: u32) -> Node {
        self.select_over(kinds, depth, named, None)
    }

    pub fn select_over(&mut self, kinds: &[Kind], depth: usize, named: u32, from: Option<(Node, Scope)>) -> Node {
        let from = match from {
            Some(from) => Some(from),
            None if self.chance(6) => {
                self.coverage.note("no from");
                None
            }
            None => Some(self.from(depth)),
        };
        let (from, scope) = from.map_or((None, Scope::default()), |(from, scope)| (Some(from), scope));
        let has_from = from.is_some();
        self.scopes.push(scope);
        let condition = (self.chance(60)).then(|| {
            self.coverage.note("where");
            self.condition(depth.min(2))
        });
        let grouped = has_from && self.chance(28);
        let (mode, keys) = (self.mode, std::mem::take(&mut self.group_keys));
        let mut group = Vec::new();
        if grouped {
            if self.chance(75) {
                self.coverage.note("group by");
                let count = 1 + self.below(2);
                for _ in 0..count {
                    let kind = self.pick(&[Kind::Int, Kind::Text, Kind::Bool, Kind::Date, Kind::Numeric]);
                    let Some(key) = self.column(kind) else { continue };
                    // A column of a query around this one is a constant here, which GROUP BY takes too.
                    self.group_keys.push((key.to_string(), kind));
                    group.push(key);
                }
            } else {
                self.coverage.note("aggregate of all");
            }
            self.mode = Mode::Grouped;
        } else {
            self.mode = Mode::Plain;
        }
        let having = (grouped && self.chance(30)).then(|| {
            self.coverage.note("having");
            self.condition(1)
        });
        let items = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| {
                let window = (!grouped && has_from && self.chance(5)).then(|| self.window(*kind)).flatten();
                let value = match window {
                    Some(window) => window,
                    None => self.value(*kind, depth),
                };
                let name = if self.chance(named) { format!(" as c{}", at + 1) } else { String::new() };
                Node::of(Sort::Other, &format!("#{name}"), vec![value])
            })
            .collect();
        (self.mode, self.group_keys) = (mode, keys);
        self.scopes.pop();
        let distinct = !kinds.contains(&Kind::Json) && self.chance(12);
        if distinct {
            self.coverage.note("distinct");
        }
        let mut parts = vec![Part::Text("select ".into())];
        if distinct {
            parts.push(Part::Optional(Node::leaf(Sort::Other, "distinct ")));
        }
        parts.push(Part::Columns(items));
        if let Some(from) = from {
            parts.push(Part::Optional(Node::of(Sort::Other, " from #", vec![from])));
        }
        if let Some(condition) = condition {
            parts.push(Part::Optional(Node::of(Sort::Other, " where #", vec![condition])));
        }
        if !group.is_empty() {
            let list = Part::List { separator: ", ", least: 1, items: group };
            parts.push(Part::Optional(Node::other(vec![Part::Text(" group by ".into()), list])));
        }
        if let Some(having) = having {
            parts.push(Part::Optional(Node::of(Sort::Other, " having #", vec![having])));
        }
        Node { sort: Sort::Query, parts }
    }

    pub fn table(&mut self) -> (Node, Scope) {
        let table = self.pick(&TABLES);
        let alias = self.alias();
        let mut scope = Scope::default();
        scope.columns.extend(columns(self.with_json).map(|(name, kind, _)| (format!("{alias}.{name}"), kind)));
        scope.keys.push(format!("{alias}.id"));
        (Node::leaf(Sort::From, format!("{table} {alias}")), scope)
    }

    fn from(&mut self, depth: usize) -> (Node, Scope) {
        let nested = if depth > 0 && self.scopes.len() < NESTING_MAX { 1 } else { 0 };
        match self.production(&[
            ("table", 40),
            ("inner join", 12 * nested),
            ("left join", 14 * nested),
            ("right join", 8 * nested),
            ("full join", 8 * nested),
            ("cross join", 4 * nested),
            ("join using", 5 * nested),
            ("derived table", 8 * nested),
            ("values in from", 3 * nested),
            ("generate_series", 2),
            ("unnest", 2),
            ("lateral", 6 * nested),
        ]) {
            "table" => self.table(),
            "derived table" => self.derived(depth - 1),
            "values in from" => {
                let kinds = self.kinds(2);
                let hidden = std::mem::take(&mut self.scopes);
                let rows = self.values_list(&kinds);
                self.scopes = hidden;
                let alias = self.alias();
                let names: Vec<String> = (1..=kinds.len()).map(|at| format!("c{at}")).collect();
                let node = Node::of(Sort::From, &format!("(#) {alias} ({})", names.join(", ")), vec![rows]);
                (node, derived_scope(&alias, &kinds))
            }
            "unnest" => self.unnested(),
            "generate_series" => {
                let alias = self.alias();
                let scope =
                    Scope { columns: vec![(format!("{alias}.c1"), Kind::Int)], keys: vec![format!("{alias}.c1")] };
                (Node::leaf(Sort::From, format!("generate_series(1, 4) {alias} (c1)")), scope)
            }
            "lateral" => {
                let (left, mut scope) = self.from(depth - 1);
                self.scopes.push(scope.clone());
                let kinds = self.kinds(2);
                let query = self.subquery(&kinds, depth - 1);
                self.scopes.pop();
                let alias = self.alias();
                let join = self.pick(&["cross join lateral (#) @", "left join lateral (#) @ on true"]);
                let template = format!("# {}", join.replace('@', &alias));
                let right = derived_scope(&alias, &kinds);
                scope.columns.extend(right.columns);
                scope.keys.extend(right.keys);
                (Node::of(Sort::From, &template, vec![left, query]), scope)
            }
            join => self.join(join, depth),
        }
    }

    fn derived(&mut self, depth: usize) -> (Node, Scope) {
        let kinds = self.kinds(3);
        // Its neighbours in FROM are not in its scope.
        let query = self.subquery(&kinds, depth);
        let alias = self.alias();
        (Node::of(Sort::From, &format!("(#) {alias}"), vec![query]), derived_scope(&alias, &kinds))
    }

    fn join(&mut self, join: &'static str, depth: usize) -> (Node, Scope) {
        let (left, left_scope) = self.from(depth - 1);
        let (right, right_scope) = if self.chance(70) { self.table() } else { self.derived(depth - 1) };
        let pairs: Vec<(String, String)> = left_scope
            .columns
            .iter()
            .flat_map(|(one, kind)| {
                let same = right_scope.columns.iter().filter(move |(_, of)| of == kind && *of != Kind::Json);
                same.map(move |(other, _)| (one.clone(), other.clone()))
            })
            .collect();
        let mut scope = Scope {
            columns: left_scope.columns.iter().chain(&right_scope.columns).cloned().collect(),
            keys: left_scope.keys.iter().chain(&right_scope.keys).cloned().collect(),
        };
        let equality = (!pairs.is_empty()).then(|| {
            let at = self.below(pairs.len());
            format!("{} = {}", pairs[at].0, pairs[at].1)
        });
        let node = match (join, equality) {
            ("cross join", _) => Node::of(Sort::From, "# cross join #", vec![left, right]),
            ("join using", Some(_)) => {
                let (left, right) = (self.table(), self.table());
                let kind = self.pick(&["join", "left join", "full join"]);
                let column = self.pick(&["id", "i", "s"]);
                if self.chance(50) {
                    // The merged column has a name of its own only under an alias: a bare one means another inside a subquery.
                    self.coverage.note("join using under an alias");
                    let alias = self.alias();
                    let own = columns(self.with_json).map(|(name, of, _)| (name, of));
                    let (mut shown, rest): (Vec<(&str, Kind)>, Vec<(&str, Kind)>) =
                        own.partition(|(name, _)| *name == column);
                    shown.extend(rest.iter().chain(&rest).copied());
                    let named = |at: usize| format!("{alias}.c{}", at + 1);
                    let ids = shown.iter().enumerate().filter(|(_, (name, _))| *name == "id");
                    scope = Scope {
                        keys: ids.map(|(at, _)| named(at)).collect(),
                        columns: shown.iter().enumerate().map(|(at, (_, of))| (named(at), *of)).collect(),
                    };
                    let names: Vec<String> = (1..=shown.len()).map(|at| format!("c{at}")).collect();
                    let template = format!("(# {kind} # using ({column})) {alias} ({})", names.join(", "));
                    return (Node::of(Sort::From, &template, vec![left.0, right.0]), scope);
                }
                scope = Scope {
                    columns: left.1.columns.iter().chain(&right.1.columns).cloned().collect(),
                    keys: left.1.keys.iter().chain(&right.1.keys).cloned().collect(),
                };
                Node::of(Sort::From, &format!("# {kind} # using ({column})"), vec![left.0, right.0])
            }
            ("full join", Some(equality)) => {
                Node::of(Sort::From, &format!("# full join # on {equality}"), vec![left, right])
            }
            (_, equality) => {
                let word = match join {
                    "left join" => "left join",
                    "right join" => "right join",
                    _ => "join",
                };
                self.scopes.push(scope.clone());
                let condition = match equality {
                    Some(equality) if self.chance(70) => Node::leaf(Sort::Value(Kind::Bool), equality),
                    _ => self.condition(1),
                };
                let condition = if self.chance(35) {
                    self.coverage.note("more in on");
                    let more = self.condition(1);
                    Node::of(Sort::Value(Kind::Bool), "(# and #)", vec![condition, more])
                } else {
                    condition
                };
                self.scopes.pop();
                Node::of(Sort::From, &format!("# {word} # on #"), vec![left, right, condition])
            }
        };
        (node, scope)
    }

    // ---- changes

    pub fn change(&mut self, table: &str, change: Node) -> Node {
        let shown: Vec<&str> = columns(self.with_json).map(|(name, _, _)| name).collect();
        let look = format!("; select {} from {table} order by id; rollback", shown.join(", "));
        Node::other(vec![Part::Text("begin; ".into()), Part::One(change), Part::Text(look)])
    }

    fn returning(&mut self) -> Option<Part> {
        if !self.chance(60) {
            return None;
        }
        self.coverage.note("returning");
        let kinds = self.kinds(2);
        let items = kinds.iter().map(|kind| self.value(*kind, 1)).collect();
        let list = Part::List { separator: ", ", least: 1, items };
        Some(Part::Optional(Node::other(vec![Part::Text(" returning ".into()), list])))
    }

    pub fn own_scope(&self, table: &str) -> Scope {
        let own = columns(self.with_json).map(|(name, kind, _)| (format!("{table}.{name}"), kind));
        Scope { columns: own.collect(), keys: vec![format!("{table}.id")] }
    }

    fn insert(&mut self) -> Node {
        let table = self.pick(&TABLES);
        let chosen: Vec<(&str, Kind)> = columns(self.with_json)
            .skip(1)
            .filter(|_| self.random_half())
            .map(|(name, kind, _)| (name, kind))
            .collect();
        let names: String = chosen.iter().map(|(name, _)| format!(", {name}")).collect();
        let source = if self.chance(50) {
            self.coverage.note("insert select");
            let (from, scope) = self.table();
            let key = scope.keys[0].clone();
            self.scopes.push(scope);
            let values: Vec<Node> = chosen.iter().map(|(_, kind)| self.value(*kind, 2)).collect();
            let condition = self.condition(1);
            self.scopes.pop();
            let shift = self.pick(&["100", "100", "3"]);
            let marks = ", #".repeat(values.len());
            let template = format!("select {key} + {shift}{marks} from # where #");
            Node::of(Sort::Other, &template, values.into_iter().chain([from, condition]).collect())
        } else {
            self.coverage.note("insert values");
            let count = 1 + self.below(3);
            let rows = (0..count).map(|at| {
                let values: Vec<Node> = chosen.iter().map(|(_, kind)| self.value(*kind, 1)).collect();
                let id = self.pick(&[1, 4, 200]) + at;
                Node::of(Sort::Other, &format!("({id}{})", ", #".repeat(values.len())), values)
            });
            let items = rows.collect();
            Node::other(vec![Part::Text("values ".into()), Part::List { separator: ", ", least: 1, items }])
        };
        let mut parts = vec![Part::Text(format!("insert into {table} (id{names}) ")), Part::One(source)];
        self.scopes.push(self.own_scope(table));
        if self.chance(45) {
            self.coverage.note("on conflict");
            let clause = if self.chance(40) {
                self.conflict(table)
            } else if self.chance(40) {
                Node::leaf(Sort::Other, " on conflict do nothing")
            } else {
                let value = self.value(Kind::Int, 1);
                let condition = self.condition(1);
                let template = " on conflict (id) do update set i = #, s = excluded.s where #";
                Node::of(Sort::Other, template, vec![value, condition])
            };
            parts.push(Part::Optional(clause));
        }
        parts.extend(self.returning());
        self.scopes.pop();
        self.change(table, Node::other(parts))
    }

    fn random_half(&mut self) -> bool {
        self.chance(50)
    }

    fn update(&mut self) -> Node {
        let table = self.pick(&TABLES);
        let mut scope = self.own_scope(table);
        let mut from = None;
        if self.chance(30) {
            self.coverage.note("update from");
            let (other, other_scope) = self.table();
            // Each row meets one other row at most.
            from = Some((other, format!("{table}.id = {}", other_scope.keys[0])));
            scope.columns.extend(other_scope.columns);
        }
        let targets: Vec<(&str, Kind)> = columns(self.with_json).skip(1).map(|(name, kind, _)| (name, kind)).collect();
        let first = self.below(targets.len());
        let count = 1 + self.below(2);
        self.scopes.push(scope);
        let items = (0..count).map(|at| {
            let (name, kind) = targets[(first + at) % targets.len()];
            Node::of(Sort::Other, &format!("{name} = #"), vec![self.value(kind, 2)])
        });
        let items = items.collect();
        let condition = self.condition(2);
        let returning = self.returning();
        self.scopes.pop();
        let mut parts =
            vec![Part::Text(format!("update {table} set ")), Part::List { separator: ", ", least: 1, items }];
        match from {
            Some((from, join)) => {
                parts.extend([Part::Text(" from ".into()), Part::One(from), Part::Text(format!(" where {join}"))]);
                parts.push(Part::Optional(Node::of(Sort::Other, " and #", vec![condition])));
            }
            None => parts.push(Part::Optional(Node::of(Sort::Other, " where #", vec![condition]))),
        }
        parts.extend(returning);
        self.change(table, Node::other(parts))
    }

    fn delete(&mut self) -> Node {
        let table = self.pick(&TABLES);
        let mut scope = self.own_scope(table);
        let mut using = None;
        if self.chance(25) {
            self.coverage.note("delete using");
            let (other, other_scope) = self.table();
            using = Some((other, format!("{table}.id = {}", other_scope.keys[0])));
            scope.columns.extend(other_scope.columns);
        }
        self.scopes.push(scope);
        let condition = self.condition(2);
        let returning = self.returning();
        self.scopes.pop();
        let mut parts = vec![Part::Text(format!("delete from {table}"))];
        match using {
            Some((from, join)) => {
                parts.extend([Part::Text(" using ".into()), Part::One(from), Part::Text(format!(" where {join}"))]);
                parts.push(Part::Optional(Node::of(Sort::Other, " and #", vec![condition])));
            }
            None => parts.push(Part::Optional(Node::of(Sort::Other, " where #", vec![condition]))),
        }
        parts.extend(returning);
        self.change(table, Node::other(parts))
    }
}

pub fn derived_scope(alias: &str, kinds: &[Kind]) -> Scope {
    let columns: Vec<(String, Kind)> =
        kinds.iter().enumerate().map(|(at, kind)| (format!("{alias}.c{}", at + 1), *kind)).collect();
    let keys = columns.iter().filter(|(_, kind)| *kind != Kind::Json).map(|(name, _)| name.clone()).collect();
    Scope { columns, keys }
}
