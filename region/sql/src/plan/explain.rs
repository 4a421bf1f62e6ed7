//! EXPLAIN: a plan as PostgreSQL shows its own.
//!
//! A node of ours that has none in PostgreSQL's plans (a projection, a filter, subqueries beneath an expression) shows as
//! lines of the node below it; a hash join shows its table as a node of its own. Rows and costs are those that the search went
//! by, carried upward; with ANALYZE they stand beside what was found.
use super::access::Access;
use super::cost::{self, Estimate, PlanSettings};
use super::expr::Compiled;
use super::node::*;
use super::notes::Note;
use crate::execute::{Found, Watch, Watched};
use crate::parser::tree::{JoinKind, SetOperation};
use std::fmt::Write;
use std::sync::Arc;
use trivet_types::functions::string::quote_identifier;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub timing: bool,
    pub summary: bool,
    pub json: bool,
}

impl Default for ExplainOptions {
    fn default() -> ExplainOptions {
        ExplainOptions { analyze: false, verbose: false, costs: true, timing: true, summary: false, json: false }
    }
}

/// A value of a shown property.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(String),
}

/// A node as it is shown.
#[derive(Debug, Default)]
struct Shown {
    /// `Node Type`, and what the first line adds to it.
    kind: String,
    title: String,
    estimate: Estimate,
    found: Option<Found>,
    /// Properties that the first line has within it; JSON lists them.
    named: Vec<(&'static str, String)>,
    lines: Vec<(String, Value)>,
    inputs: Vec<Shown>,
    /// `SubPlan 1`, `CTE x`.
    below: Vec<(String, Shown)>,
}

struct Explainer<'p> {
    plan: &'p Plan,
    options: &'p ExplainOptions,
    watch: Option<&'p Watch>,
    subplans: usize,
}

/// The lines of a plan; of JSON, the whole as one.
pub(crate) fn explain(
    plan: &Plan,
    options: &ExplainOptions,
    watch: Option<&Watch>,
    planning_ms: f64,
    execution_ms: f64,
) -> Vec<String> {
    let mut explainer = Explainer { plan, options, watch, subplans: 0 };
    let mut root = explainer.node(&plan.root);
    for common in &plan.commons {
        let shown = explainer.node(&common.root);
        root.below.push((format!("CTE {}", common.name), shown));
    }
    if options.json {
        return vec![json(&root, options, planning_ms, execution_ms)];
    }
    let mut lines = Vec::new();
    write(&root, 0, 0, options, &mut lines);
    if options.summary {
        lines.push(format!("Planning Time: {planning_ms:.3} ms"));
        if options.analyze {
            lines.push(format!("Execution Time: {execution_ms:.3} ms"));
        }
    }
    lines
}

/// A node's first line at `indent`, its properties and inputs further in.
fn write(shown: &Shown, indent: usize, depth: usize, options: &ExplainOptions, lines: &mut Vec<String>) {
    let mut first = format!("{}{}{}", " ".repeat(indent), if depth > 0 { "->  " } else { "" }, shown.title);
    if options.costs {
        let _ = write!(first, "  {}", shown.estimate);
    }
    if options.analyze {
        first.push(' ');
        match &shown.found {
            Some(found) if found.loops > 0 => {
                let each = |time: std::time::Duration| time.as_secs_f64() * 1000.0 / found.loops as f64;
                let rows = (found.rows as f64 / found.loops as f64).round();
                if options.timing {
                    let _ = write!(
                        first,
                        "(actual time={:.3}..{:.3} rows={rows} loops={})",
                        each(found.first),
                        each(found.total),
                        found.loops
                    );
                } else {
                    let _ = write!(first, "(actual rows={rows} loops={})", found.loops);
                }
            }
            _ => first.push_str("(never executed)"),
        }
    }
    lines.push(first.trim_end().to_owned());
    let inside = indent + if depth > 0 { 6 } else { 2 };
    for (label, value) in &shown.lines {
        let (Value::Text(text) | Value::Number(text)) = value;
        lines.push(match label.as_str() {
            "" => format!("{}{text}", " ".repeat(inside)),
            label => format!("{}{label}: {text}", " ".repeat(inside)),
        });
    }
    for (name, below) in &shown.below {
        lines.push(format!("{}{name}", " ".repeat(inside)));
        write(below, inside + 2, depth + 1, options, lines);
    }
    for input in &shown.inputs {
        write(input, inside, depth + 1, options, lines);
    }
}

fn quoted_json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn json(root: &Shown, options: &ExplainOptions, planning_ms: f64, execution_ms: f64) -> String {
    let mut parts = vec![format!("    \"Plan\": {}", json_node(root, None, None, 4, options))];
    if options.summary {
        parts.push(format!("    \"Planning Time\": {planning_ms:.3}"));
    }
    if options.analyze {
        parts.push("    \"Triggers\": [\n    ]".to_owned());
    }
    if options.summary && options.analyze {
        parts.push(format!("    \"Execution Time\": {execution_ms:.3}"));
    }
    format!("[\n  {{\n{}\n  }}\n]", parts.join(",\n"))
}

fn json_node(
    shown: &Shown,
    relationship: Option<&str>,
    subplan: Option<&str>,
    indent: usize,
    options: &ExplainOptions,
) -> String {
    let mut parts: Vec<(String, String)> = vec![("Node Type".into(), quoted_json(&shown.kind))];
    parts.extend(relationship.map(|relationship| ("Parent Relationship".into(), quoted_json(relationship))));
    parts.extend(subplan.map(|name| ("Subplan Name".into(), quoted_json(name))));
    parts.push(("Parallel Aware".into(), "false".into()));
    parts.push(("Async Capable".into(), "false".into()));
    parts.extend(shown.named.iter().map(|(name, value)| ((*name).to_owned(), quoted_json(value))));
    if options.costs {
        let of = &shown.estimate;
        parts.push(("Startup Cost".into(), format!("{:.2}", of.startup / 100.0)));
        parts.push(("Total Cost".into(), format!("{:.2}", of.total / 100.0)));
        parts.push(("Plan Rows".into(), format!("{:.0}", of.rows.max(1.0).round())));
        parts.push(("Plan Width".into(), format!("{:.0}", of.width)));
    }
    if options.analyze {
        let found = shown.found.clone().unwrap_or_default();
        let loops = found.loops.max(1) as f64;
        if options.timing {
            parts.push(("Actual Startup Time".into(), format!("{:.3}", found.first.as_secs_f64() * 1000.0 / loops)));
            parts.push(("Actual Total Time".into(), format!("{:.3}", found.total.as_secs_f64() * 1000.0 / loops)));
        }
        parts.push(("Actual Rows".into(), format!("{:.0}", found.rows as f64 / loops)));
        parts.push(("Actual Loops".into(), found.loops.to_string()));
    }
    for (label, value) in shown.lines.iter().filter(|(label, _)| !label.is_empty()) {
        parts.push((
            label.clone(),
            match value {
                Value::Text(text) if matches!(label.as_str(), "Sort Key" | "Group Key") => {
                    format!("[{}]", text.split(", ").map(quoted_json).collect::<Vec<_>>().join(", "))
                }
                Value::Text(text) => quoted_json(text),
                Value::Number(number) => number.clone(),
            },
        ));
    }
    let pad = " ".repeat(indent + 2);
    let mut text = String::from("{\n");
    let listed: Vec<String> =
        parts.iter().map(|(name, value)| format!("{pad}{}: {value}", quoted_json(name))).collect();
    text.push_str(&listed.join(",\n"));
    let mut plans: Vec<String> = Vec::new();
    for (name, below) in &shown.below {
        let relationship = if name.starts_with("SubPlan") { "SubPlan" } else { "InitPlan" };
        plans.push(json_node(below, Some(relationship), Some(name), indent + 4, options));
    }
    for (at, input) in shown.inputs.iter().enumerate() {
        let relationship = match (shown.kind.as_str(), at) {
            ("Append", _) => "Member",
            (_, 0) => "Outer",
            _ => "Inner",
        };
        plans.push(json_node(input, Some(relationship), None, indent + 4, options));
    }
    if !plans.is_empty() {
        let pad_plan = " ".repeat(indent + 4);
        let plans: Vec<String> = plans.into_iter().map(|plan| format!("{pad_plan}{plan}")).collect();
        let _ = write!(text, ",\n{pad}\"Plans\": [\n{}\n{pad}]", plans.join(",\n"));
    }
    let _ = write!(text, "\n{}}}", " ".repeat(indent));
    text
}

fn join_type(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner | JoinKind::Cross => "Inner",
        JoinKind::Left => "Left",
        JoinKind::Right => "Right",
        JoinKind::Full => "Full",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
    }
}

fn join_title(name: &str, kind: JoinKind) -> String {
    match (name, join_type(kind)) {
        ("Nested Loop", "Inner") => name.to_owned(),
        ("Nested Loop", kind) => format!("{name} {kind} Join"),
        (name, "Inner") => format!("{name} Join"),
        (name, kind) => format!("{name} {kind} Join"),
    }
}

/// A constant number of rows.
fn constant(limit: Option<&Arc<Compiled>>) -> Option<f64> {
    match limit.map(|limit| &**limit) {
        Some(Compiled::Constant(value)) => value.as_i64().map(|rows| rows.max(0) as f64),
        _ => None,
    }
}

impl<'p> Explainer<'p> {
    fn settings(&self) -> &PlanSettings {
        &self.plan.settings
    }

    fn found(&self, node: &Node) -> Option<Found> {
        self.watch.map(|watch| watch.found(Watched::node(node)))
    }

    fn part<T>(&self, part: &Arc<T>) -> Option<Found> {
        self.watch.map(|watch| watch.found(Watched::of(part)))
    }

    fn shown(&self, node: &Node, kind: impl Into<String>, estimate: Estimate) -> Shown {
        let kind = kind.into();
        Shown { title: kind.clone(), kind, estimate, found: self.found(node), ..Shown::default() }
    }

    fn lines_of(note: Option<&Note>, prefix: &str) -> Vec<(String, Value)> {
        let line = |(label, text): &(&'static str, String)| {
            let label = if *label == "Cond" { format!("{prefix} Cond") } else { (*label).to_owned() };
            (label, Value::Text(text.clone()))
        };
        note.map(|note| note.lines.iter().map(line).collect()).unwrap_or_default()
    }

    /// What is expected of a node that has a note, or else of its input with something done to it.
    fn noted(note: Option<&Note>, startup: f64, otherwise: Estimate) -> Estimate {
        let Some(note) = note else { return otherwise };
        Estimate {
            rows: note.rows.unwrap_or(otherwise.rows),
            width: note.width.unwrap_or(otherwise.width),
            startup,
            total: note.cost.unwrap_or(otherwise.total),
        }
    }

    /// Rows that a filter dropped, for each time it ran.
    fn removed(&self, removed: u64, loops: u64) -> Option<(String, Value)> {
        let each = removed / loops.max(1);
        (self.options.analyze && each > 0)
            .then(|| ("Rows Removed by Filter".to_owned(), Value::Number(each.to_string())))
    }

    fn relation(&self, shown: &mut Shown, schema: &str, name: &str, alias: Option<&str>) {
        shown.title.push_str(" on ");
        if self.options.verbose {
            let _ = write!(shown.title, "{}.", quote_identifier(schema));
        }
        shown.title.push_str(&quote_identifier(name));
        let alias = alias.unwrap_or(name);
        if alias != name {
            let _ = write!(shown.title, " {}", quote_identifier(alias));
        }
        shown.named.push(("Relation Name", name.to_owned()));
        if self.options.verbose {
            shown.named.push(("Schema", schema.to_owned()));
        }
        shown.named.push(("Alias", alias.to_owned()));
    }

    fn over(
        &self,
        node: &Node,
        kind: &str,
        input: Shown,
        change: impl FnOnce(Estimate, &PlanSettings) -> Estimate,
    ) -> Shown {
        let mut shown = self.shown(node, kind, change(input.estimate, self.settings()));
        shown.inputs.push(input);
        shown
    }

    fn scan(&self, node: &Node, scan: &Arc<ScanNode>) -> Shown {
        let note = self.plan.note(scan);
        let estimate = Self::noted(note, 0.0, Estimate::default());
        let kind = match &scan.access {
            Access::Full => "Seq Scan",
            Access::Index { .. } => "Index Scan",
            Access::Any(_) => "Bitmap Heap Scan",
            Access::Current => "Tid Scan",
        };
        let mut shown = self.shown(node, kind, estimate);
        if let Access::Index { name, reverse, .. } = &scan.access {
            if *reverse {
                shown.title.push_str(" Backward");
            }
            let _ = write!(shown.title, " using {}", quote_identifier(name));
            shown.named.push(("Scan Direction", if *reverse { "Backward" } else { "Forward" }.to_owned()));
            shown.named.push(("Index Name", name.clone()));
        }
        let alias = note.and_then(|note| note.alias.as_deref());
        self.relation(&mut shown, &scan.table.schema_name, &scan.table.name, alias);
        shown.lines = Self::lines_of(note, "");
        if let (Access::Current, Some(cursor)) = (&scan.access, &self.plan.current_of) {
            shown
                .lines
                .insert(0, ("TID Cond".to_owned(), Value::Text(format!("CURRENT OF {}", quote_identifier(cursor)))));
        }
        if let Some(found) = self.part(scan) {
            let loops = shown.found.as_ref().map_or(1, |found| found.loops);
            shown.lines.extend(self.removed(found.removed, loops));
        }
        if let Access::Any(_) = &scan.access {
            shown.inputs.push(self.either(note, &shown));
        }
        shown
    }

    /// The indexes of a scan by several. What each of them found is not counted.
    fn either(&self, note: Option<&Note>, scan: &Shown) -> Shown {
        let part = |kind: &str| Shown {
            kind: kind.to_owned(),
            title: kind.to_owned(),
            estimate: Estimate { width: 0.0, total: 0.0, ..scan.estimate },
            found: scan.found.clone(),
            ..Shown::default()
        };
        let mut all = part("BitmapOr");
        for (index, condition) in note.map(|note| note.branches.as_slice()).unwrap_or_default() {
            let mut one = part("Bitmap Index Scan");
            let _ = write!(one.title, " on {}", quote_identifier(index));
            one.named.push(("Index Name", index.clone()));
            one.lines.push(("Index Cond".to_owned(), Value::Text(condition.clone())));
            all.inputs.push(one);
        }
        all
    }

    fn join(
        &mut self,
        node: &Node,
        name: &str,
        kind: JoinKind,
        note: Option<&Note>,
        left: &'p Node,
        right: &'p Node,
    ) -> Shown {
        let (left, right) = (self.node(left), self.node(right));
        let work = left.estimate.total + right.estimate.total;
        let otherwise = Estimate {
            rows: left.estimate.rows,
            width: left.estimate.width + right.estimate.width,
            startup: 0.0,
            total: work,
        };
        let startup = match name {
            "Nested Loop" => left.estimate.startup,
            "Hash" => left.estimate.startup + right.estimate.total,
            _ => left.estimate.startup + right.estimate.startup,
        };
        let mut shown = self.shown(node, format!("{name} Join"), Self::noted(note, startup, otherwise));
        if name == "Nested Loop" {
            shown.kind = name.to_owned();
        }
        shown.title = join_title(name, kind);
        shown.named.push(("Join Type", join_type(kind).to_owned()));
        shown.lines = Self::lines_of(note, name);
        shown.inputs = vec![left, right];
        shown
    }

    fn subplan(&mut self, shown: &mut Shown, subplans: &'p [Subplan]) {
        for subplan in subplans {
            let has_query = !matches!(
                subplan.kind,
                SubplanKind::Sequence { .. }
                    | SubplanKind::Current { .. }
                    | SubplanKind::Advisory { .. }
                    | SubplanKind::Sleep { .. }
            );
            if !has_query {
                continue;
            }
            self.subplans += 1;
            let name = if subplan.constant { "InitPlan" } else { "SubPlan" };
            let returns = if subplan.constant { format!(" (returns ${})", self.subplans - 1) } else { String::new() };
            let name = format!("{name} {}{returns}", self.subplans);
            let below = self.node(&subplan.root);
            shown.below.push((name, below));
        }
    }

    fn sort_lines(&self, shown: &mut Shown, found: Option<Found>) {
        if let Some(facts) = found.and_then(|found| found.sort) {
            shown.lines.push((
                "Sort Method".into(),
                Value::Text(format!("{}  {}: {}kB", facts.method, facts.space, facts.kilobytes)),
            ));
        }
    }

    fn node(&mut self, node: &'p Node) -> Shown {
        let half = |input: Estimate| Estimate { rows: (input.rows / 2.0).max(1.0), ..input };
        let grouped = |input: Estimate, _: &PlanSettings| {
            let total = input.total + input.rows * cost::HASH_ROW;
            Estimate { startup: total, total, ..half(input) }
        };
        match node {
            Node::Values { rows, width } => {
                let estimate = Estimate {
                    rows: rows.len() as f64,
                    width: 8.0 * *width as f64,
                    startup: 0.0,
                    total: rows.len() as f64,
                };
                let result = rows.len() == 1;
                let mut shown = self.shown(node, if result { "Result" } else { "Values Scan" }, estimate);
                if !result {
                    shown.title.push_str(" on \"*VALUES*\"");
                    shown.named.push(("Alias", "*VALUES*".to_owned()));
                }
                shown
            }
            Node::Scan(scan) => self.scan(node, scan),
            Node::Virtual { table, filter } => {
                let estimate = Estimate { rows: 400.0, width: 64.0, startup: 0.0, total: 2000.0 };
                let mut shown = self.shown(node, "Seq Scan", estimate);
                self.relation(&mut shown, "pg_catalog", table.name, None);
                if filter.is_some() {
                    shown.lines.push(("Filter".into(), Value::Text("(...)".into())));
                }
                shown
            }
            Node::Function { procedure, arguments, width, .. } => {
                let note = self.plan.note(arguments);
                let estimate = Estimate { rows: 100.0, width: 8.0 * *width as f64, startup: 0.0, total: 100.0 };
                let mut shown = self.shown(node, "Function Scan", Self::noted(note, 0.0, estimate));
                let _ = write!(shown.title, " on {}", quote_identifier(procedure.name));
                shown.named.push(("Function Name", procedure.name.to_owned()));
                shown
            }
            Node::Functions { .. } => {
                let estimate = Estimate { rows: 100.0, width: 8.0, startup: 0.0, total: 100.0 };
                self.shown(node, "Function Scan", estimate)
            }
            Node::Common { slot } | Node::Working { slot } => {
                let working = matches!(node, Node::Working { .. });
                let estimate = Estimate { rows: 500.0, width: 8.0, startup: 0.0, total: 500.0 };
                let mut shown = self.shown(node, if working { "WorkTable Scan" } else { "CTE Scan" }, estimate);
                let name = self.plan.commons.get(*slot).map_or("", |common| common.name.as_str());
                let _ = write!(shown.title, " on {}", quote_identifier(name));
                shown.named.push(("CTE Name", name.to_owned()));
                shown
            }
            Node::Recursive { base, step, .. } => {
                let (base, step) = (self.node(base), self.node(step));
                let rows = base.estimate.rows + 10.0 * step.estimate.rows;
                let total = base.estimate.total + 10.0 * step.estimate.total;
                let estimate = Estimate { rows, total, ..base.estimate };
                let mut shown = self.shown(node, "Recursive Union", estimate);
                shown.inputs = vec![base, step];
                shown
            }
            // These have no node of their own in PostgreSQL's plans.
            Node::Project { input, .. } | Node::Cut { input, .. } => {
                let mut shown = self.node(input);
                shown.found = self.found(node).or(shown.found);
                shown
            }
            Node::Filter { input, predicate } => {
                let note = self.plan.note(predicate);
                let mut shown = self.node(input);
                shown.estimate = Self::noted(note, shown.estimate.startup, shown.estimate);
                shown.lines.extend(Self::lines_of(note, ""));
                shown.found = self.found(node);
                if let Some(found) = self.part(predicate) {
                    let loops = shown.found.as_ref().map_or(1, |found| found.loops);
                    shown.lines.extend(self.removed(found.removed, loops));
                }
                shown
            }
            Node::ProjectSet { input, .. } => {
                let input = self.node(input);
                self.over(node, "ProjectSet", input, |of, _| Estimate {
                    rows: of.rows * 10.0,
                    total: of.total + of.rows * 10.0,
                    ..of
                })
            }
            Node::NestedLoop { kind, left, right, sets, subplans, .. } => {
                let note = self.plan.note(sets);
                let mut shown = self.join(node, "Nested Loop", *kind, note, left, right);
                self.subplan(&mut shown, subplans);
                shown
            }
            Node::HashJoin { kind, left, right, left_keys, right_keys, .. } => {
                let note = self.plan.note(left_keys);
                let mut shown = self.join(node, "Hash", *kind, note, left, right);
                if let Some(input) = shown.inputs.pop() {
                    let estimate = Estimate { startup: input.estimate.total, ..input.estimate };
                    let found = input.found.clone();
                    let mut hash =
                        Shown { kind: "Hash".into(), title: "Hash".into(), estimate, found, ..Shown::default() };
                    if let Some(facts) = self.part(right_keys).and_then(|found| found.hash) {
                        let rows = input.found.as_ref().map_or(0, |found| found.rows) as usize;
                        let text = format!(
                            "Buckets: {}  Batches: {}  Memory Usage: {}kB",
                            rows.next_power_of_two().max(1024),
                            facts.batches,
                            facts.kilobytes
                        );
                        hash.lines.push((String::new(), Value::Text(text)));
                    }
                    hash.inputs.push(input);
                    shown.inputs.push(hash);
                }
                shown
            }
            Node::MergeJoin { kind, left, right, left_keys, .. } => {
                let note = self.plan.note(left_keys);
                self.join(node, "Merge", *kind, note, left, right)
            }
            Node::Apply { input, subplans } => {
                let mut shown = self.node(input);
                self.subplan(&mut shown, subplans);
                shown
            }
            Node::Aggregate { input, keys, sets, .. } => {
                let note = self.plan.note(keys);
                let input = self.node(input);
                let plain = keys.is_empty() && sets.is_none();
                let kind = if plain { "Aggregate" } else { "HashAggregate" };
                let mut shown = self.over(node, kind, input, |of, _| {
                    let total = of.total + of.rows * cost::HASH_ROW;
                    Self::noted(note, total, Estimate { rows: 1.0, width: of.width, startup: total, total })
                });
                shown.kind = "Aggregate".into();
                shown.named.push(("Strategy", if plain { "Plain" } else { "Hashed" }.to_owned()));
                shown.lines = Self::lines_of(note, "");
                if let (false, Some(facts)) = (plain, self.part(keys).and_then(|found| found.hash)) {
                    let text = format!("Batches: {}  Memory Usage: {}kB", facts.batches, facts.kilobytes);
                    shown.lines.push((String::new(), Value::Text(text)));
                }
                shown
            }
            Node::Window { input, window } => {
                let input = self.node(input);
                let mut shown = self.over(node, "WindowAgg", input, |of, settings| {
                    let total = of.total + settings.sort_cost(of.rows, of.width) + of.rows;
                    Estimate { startup: total, total, ..of }
                });
                let found = self.part(window);
                self.sort_lines(&mut shown, found);
                shown
            }
            Node::Sort { input, keys, limit } => {
                let note = self.plan.note(keys);
                let input = self.node(input);
                let rows = constant(limit.as_ref());
                let mut shown = self.over(node, "Sort", input, |of, settings| {
                    let startup = of.total + settings.sort_cost(of.rows, of.width);
                    Estimate { startup, total: startup + of.rows, rows: rows.map_or(of.rows, |_| of.rows), ..of }
                });
                shown.lines = Self::lines_of(note, "");
                let found = self.part(keys);
                self.sort_lines(&mut shown, found);
                shown
            }
            Node::Distinct { input, columns } => {
                let note = self.plan.note(columns);
                let input = self.node(input);
                let mut shown = self.over(node, "HashAggregate", input, grouped);
                shown.lines = Self::lines_of(note, "");
                shown.kind = "Aggregate".into();
                shown.named.push(("Strategy", "Hashed".to_owned()));
                shown
            }
            Node::Unique { input, .. } => {
                let input = self.node(input);
                self.over(node, "Unique", input, |of, _| Estimate { total: of.total + of.rows, ..half(of) })
            }
            Node::Limit { input, limit, offset, subplans, .. } => {
                let input = self.node(input);
                let (limit, offset) = (constant(limit.as_ref()), constant(offset.as_ref()).unwrap_or(0.0));
                let mut shown = self.over(node, "Limit", input, |of, _| {
                    let end = limit.map_or(of.rows, |limit| (limit + offset).min(of.rows));
                    let share = |rows: f64| of.startup + (of.total - of.startup) * rows / of.rows.max(1.0);
                    let rows = (end - offset).max(0.0);
                    Estimate { rows, startup: share(offset.min(of.rows)), total: share(end), ..of }
                });
                self.subplan(&mut shown, subplans);
                shown
            }
            Node::Set { operation, left, right, all, .. } => {
                let (left, right) = (self.node(left), self.node(right));
                let (a, b) = (left.estimate, right.estimate);
                let rows = match operation {
                    SetOperation::Union => a.rows + b.rows,
                    SetOperation::Intersect => a.rows.min(b.rows),
                    SetOperation::Except => a.rows,
                };
                let estimate = Estimate { rows, width: a.width, startup: a.startup, total: a.total + b.total + rows };
                let all_text = if *all { " All" } else { "" };
                let kind = match operation {
                    SetOperation::Union => "Append".to_owned(),
                    SetOperation::Intersect => format!("HashSetOp Intersect{all_text}"),
                    SetOperation::Except => format!("HashSetOp Except{all_text}"),
                };
                let mut shown = self.shown(node, kind, estimate);
                // A chain of UNION ALL is one node.
                for input in [left, right] {
                    match (operation, input.kind.as_str()) {
                        (SetOperation::Union, "Append") if input.below.is_empty() => shown.inputs.extend(input.inputs),
                        _ => shown.inputs.push(input),
                    }
                }
                if *operation == SetOperation::Union && !all {
                    let mut distinct = self.shown(node, "HashAggregate", grouped(estimate, self.settings()));
                    distinct.kind = "Aggregate".into();
                    distinct.inputs.push(shown);
                    return distinct;
                }
                shown
            }
            Node::Lock { input, .. } => {
                let input = self.node(input);
                self.over(node, "LockRows", input, |of, _| Estimate { total: of.total + of.rows * cost::FETCH, ..of })
            }
            Node::Insert { input, insert } => self.change(node, "Insert", &insert.table, input),
            Node::Merge { input, merge } => self.change(node, "Merge", &merge.table, input),
            Node::Update { input, update } => self.change(node, "Update", &update.table, input),
            Node::Delete { input, delete } => self.change(node, "Delete", &delete.table, input),
        }
    }

    fn change(
        &mut self,
        node: &'p Node,
        operation: &str,
        table: &Arc<crate::catalog::Table>,
        input: &'p Node,
    ) -> Shown {
        let input = self.node(input);
        let mut shown = self.over(node, operation, input, |of, _| of);
        self.relation(&mut shown, &table.schema_name, &table.name, None);
        shown.kind = "ModifyTable".into();
        shown.named.insert(0, ("Operation", operation.to_owned()));
        shown
    }
}
