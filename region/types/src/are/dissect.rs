//! Which part of a match each group took, by PostgreSQL's rules: every subexpression prefers its longest or its shortest match,
//! earlier ones before later ones (manual, section 9.7.3.5).
//!
//! A pattern is cut where it matters: at groups, back references, and where what is inside prefers otherwise than what
//! is around it. Each part has a program that says how far it may reach; where two parts meet is found by trying ends in
//! the first one's order until the second fits. Only back references can make that take long, and it can be cancelled.
use super::parse::{Node, Preference};
use super::program::{Groups, Program, Subject};
use crate::error::PgResult;

/// Byte ranges of a match and its groups; a group that took no part has none.
pub type Spans = Vec<Option<(usize, usize)>>;

/// What a part prefers, and what is inside it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Nature {
    longest: bool,
    shortest: bool,
    /// Both preferences occur.
    mixed: bool,
    captures: bool,
    refers: bool,
}

impl Nature {
    fn of(preference: Option<Preference>) -> Nature {
        Nature {
            longest: preference == Some(Preference::Longest),
            shortest: preference == Some(Preference::Shortest),
            ..Nature::default()
        }
    }
    fn joined(self, other: Nature) -> Nature {
        Nature {
            longest: self.longest || other.longest,
            shortest: self.shortest || other.shortest,
            mixed: self.mixed || other.mixed,
            captures: self.captures || other.captures,
            refers: self.refers || other.refers,
        }
    }
    /// What is known of it one level up: two preferences are a mixture there.
    fn from_above(self) -> Nature {
        Nature { longest: false, shortest: false, mixed: self.mixed || self.longest && self.shortest, ..self }
    }
    fn has_preference(self) -> bool {
        self.longest || self.shortest
    }
    /// A part made of both, with the preference of the first that has one.
    fn combined(self, other: Nature) -> Nature {
        let preference = if self.has_preference() { self } else { other };
        Nature { longest: preference.longest, shortest: preference.shortest, ..self.joined(other).from_above() }
    }
    /// Not to be matched in one go.
    fn is_messy(self) -> bool {
        self.mixed || self.captures || self.refers
    }
    fn is_simple_or(self, preference: Option<Preference>) -> bool {
        let own = (self.longest, self.shortest, self.mixed);
        let wanted = Nature::of(preference);
        own == (false, false, false) || own == (wanted.longest, wanted.shortest, false)
    }
}

#[derive(Debug)]
enum Kind {
    /// The program says it all.
    Leaf,
    Back {
        group: usize,
        folded: bool,
        least: u32,
        most: Option<u32>,
    },
    Both(Box<Part>, Box<Part>),
    Either(Vec<Part>),
    Iterate {
        inside: Box<Part>,
        least: u32,
        most: Option<u32>,
    },
    Only(Box<Part>),
}

#[derive(Debug)]
pub struct Part {
    nature: Nature,
    kind: Kind,
    capture: Option<usize>,
    program: Program,
}

/// Parts before their programs are made.
struct Draft {
    nature: Nature,
    kind: DraftKind,
    capture: Option<usize>,
    syntax: Node,
}

enum DraftKind {
    Leaf,
    Back { group: usize, folded: bool, least: u32, most: Option<u32> },
    Both(Box<Draft>, Box<Draft>),
    Either(Vec<Draft>),
    Iterate { inside: Box<Draft>, least: u32, most: Option<u32> },
    Only(Box<Draft>),
}

impl Part {
    pub fn new(node: &Node) -> PgResult<Part> {
        let mut groups = Groups::new();
        collect(node, &mut groups);
        finished(draft(node), &groups)
    }
    pub fn prefers_shortest(&self) -> bool {
        self.nature.shortest
    }
    pub fn refers(&self) -> bool {
        self.nature.refers
    }
    pub fn program(&self) -> &Program {
        &self.program
    }
}

/// The numbered groups in a node.
fn collect<'p>(node: &'p Node, groups: &mut Groups<'p>) {
    match node {
        Node::Group { number, inside } => {
            if let Some(number) = number {
                groups.insert(*number, inside);
            }
            collect(inside, groups);
        }
        Node::Sequence(items) | Node::Choice(items) => items.iter().for_each(|item| collect(item, groups)),
        Node::Repeat { inside, .. } => collect(inside, groups),
        Node::Set(_) | Node::Assert(_) | Node::Look { .. } | Node::Back { .. } => {}
    }
}

fn finished(draft: Draft, groups: &Groups<'_>) -> PgResult<Part> {
    let inner = |draft: Box<Draft>| finished(*draft, groups).map(Box::new);
    Ok(Part {
        nature: draft.nature,
        capture: draft.capture,
        program: Program::new(&draft.syntax, groups)?,
        kind: match draft.kind {
            DraftKind::Leaf => Kind::Leaf,
            DraftKind::Back { group, folded, least, most } => Kind::Back { group, folded, least, most },
            DraftKind::Both(one, other) => Kind::Both(inner(one)?, inner(other)?),
            DraftKind::Either(parts) => {
                Kind::Either(parts.into_iter().map(|part| finished(part, groups)).collect::<PgResult<_>>()?)
            }
            DraftKind::Iterate { inside, least, most } => Kind::Iterate { inside: inner(inside)?, least, most },
            DraftKind::Only(part) => Kind::Only(inner(part)?),
        },
    })
}

fn leaf(syntax: Node, nature: Nature) -> Draft {
    Draft { nature, kind: DraftKind::Leaf, capture: None, syntax }
}

fn both(one: Draft, other: Draft, nature: Nature) -> Draft {
    let syntax = Node::Sequence(vec![one.syntax.clone(), other.syntax.clone()]);
    Draft { nature, kind: DraftKind::Both(Box::new(one), Box::new(other)), capture: None, syntax }
}

fn draft(node: &Node) -> Draft {
    match node {
        Node::Choice(branches) => {
            let parts: Vec<Draft> = branches.iter().map(draft).collect();
            let start = Nature::of(Some(Preference::Longest));
            let nature =
                parts.iter().fold(start, |nature, part| nature.joined(nature.joined(part.nature).from_above()));
            let kind = if nature.is_messy() { DraftKind::Either(parts) } else { DraftKind::Leaf };
            Draft { nature, kind, capture: None, syntax: node.clone() }
        }
        Node::Sequence(items) => sequence(items),
        other => sequence(std::slice::from_ref(other)),
    }
}

/// An item of a sequence: what is repeated, and how.
fn unpacked(item: &Node) -> (&Node, u32, Option<u32>, Option<Preference>) {
    match item {
        Node::Repeat { inside, least, most, preference } => (inside, *least, *most, *preference),
        other => (other, 1, Some(1), None),
    }
}

fn atom(node: &Node) -> Draft {
    match node {
        Node::Group { number, inside } => {
            let inside = draft(inside);
            let Some(number) = number else { return inside };
            let nature = Nature { captures: true, ..inside.nature };
            if inside.capture.is_none() {
                return Draft { nature, capture: Some(*number), ..inside };
            }
            let syntax = inside.syntax.clone();
            Draft { nature, kind: DraftKind::Only(Box::new(inside)), capture: Some(*number), syntax }
        }
        Node::Back { group, folded } => {
            let kind = DraftKind::Back { group: *group, folded: *folded, least: 1, most: Some(1) };
            Draft { nature: Nature { refers: true, ..Nature::default() }, kind, capture: None, syntax: node.clone() }
        }
        other => leaf(other.clone(), Nature::default()),
    }
}

/// Items up to the first that is not to be matched in one go are a leaf; then that one, then the rest.
fn sequence(items: &[Node]) -> Draft {
    let mut before = Nature::default();
    for (at, item) in items.iter().enumerate() {
        let (inside, least, most, preference) = unpacked(item);
        if most == Some(0) {
            continue;
        }
        let inner = atom(inside);
        let nature = before.joined(Nature::of(preference)).joined(inner.nature);
        let apart = matches!(inside, Node::Back { .. } | Node::Group { number: Some(_), .. });
        if !apart && !nature.from_above().is_messy() {
            before = nature;
            continue;
        }
        let middle = repeated(inner, least, most, preference);
        let prefix = leaf(Node::Sequence(items[..at].to_vec()), before);
        let rest = &items[at + 1..];
        let tail = if rest.is_empty() {
            middle
        } else {
            let rest = sequence(rest);
            let own = Nature::of(preference).combined(middle.nature);
            let nature = own.joined(own.combined(rest.nature));
            both(middle, rest, nature)
        };
        if at == 0 {
            return tail;
        }
        let nature = before.joined(before.combined(tail.nature));
        return both(prefix, tail, nature);
    }
    leaf(Node::Sequence(items.to_vec()), before)
}

fn repeated(inner: Draft, least: u32, most: Option<u32>, preference: Option<Preference>) -> Draft {
    let nature = Nature::of(preference).combined(inner.nature);
    let repeat =
        |inside: &Node, least, most| Node::Repeat { inside: Box::new(inside.clone()), least, most, preference };
    let syntax = repeat(&inner.syntax, least, most);
    if let DraftKind::Back { group, folded, .. } = inner.kind {
        return Draft { nature, kind: DraftKind::Back { group, folded, least, most }, capture: inner.capture, syntax };
    }
    if (least, most) == (1, Some(1)) && (preference.is_none() || inner.nature.is_simple_or(preference)) {
        return inner;
    }
    if !inner.nature.captures && !inner.nature.refers {
        return leaf(syntax, nature);
    }
    if least > 0 && !inner.nature.refers {
        // Only the last round's groups count: those before it are one part.
        let before = repeat(&inner.syntax, least - 1, most.map(|most| most - 1));
        let preferring = Nature { longest: nature.longest, shortest: nature.shortest, ..Nature::default() };
        return both(leaf(before, preferring), inner, nature);
    }
    Draft { nature, kind: DraftKind::Iterate { inside: Box::new(inner), least, most }, capture: None, syntax }
}

fn characters(text: &str, from: usize, to: usize) -> usize {
    if to <= from { 0 } else { text[from..to].chars().count() }
}
fn back_one(text: &str, at: usize) -> usize {
    at - text[..at].chars().next_back().map_or(0, char::len_utf8)
}
fn on_one(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

impl Part {
    /// Find the groups of a part that matches `from..to` as far as its program can tell; false if it does not.
    pub fn dissect(&self, subject: &mut Subject<'_>, from: usize, to: usize, spans: &mut Spans) -> PgResult<bool> {
        let matched = match &self.kind {
            Kind::Leaf => true,
            Kind::Back { group, folded, least, most } => {
                let referred = spans.get(*group).copied().flatten();
                referred.is_some_and(|span| repeats(subject.text, span, (from, to), *folded, *least, *most))
            }
            Kind::Both(one, other) => self.dissect_both(one, other, subject, from, to, spans)?,
            Kind::Either(parts) => {
                let mut matched = false;
                for part in parts {
                    if subject.longest(&part.program, from, to)? == Some(to)
                        && part.dissect(subject, from, to, spans)?
                    {
                        matched = true;
                        break;
                    }
                }
                matched
            }
            Kind::Iterate { inside, least, most } => {
                let bounds = (*least as usize, most.map(|most| most as usize));
                dissect_rounds(inside, bounds, subject, from, to, spans)?
            }
            Kind::Only(part) => part.dissect(subject, from, to, spans)?,
        };
        if let (true, Some(number)) = (matched, self.capture) {
            spans[number] = Some((from, to));
        }
        Ok(matched)
    }

    fn dissect_both(
        &self,
        one: &Part,
        other: &Part,
        subject: &mut Subject<'_>,
        from: usize,
        to: usize,
        spans: &mut Spans,
    ) -> PgResult<bool> {
        let shortest = one.nature.shortest;
        let mut tried = if shortest {
            subject.shortest(&one.program, from, from, to)?
        } else {
            subject.longest(&one.program, from, to)?
        };
        while let Some(middle) = tried {
            if subject.longest(&other.program, middle, to)? == Some(to)
                && one.dissect(subject, from, middle, spans)?
                && other.dissect(subject, middle, to, spans)?
            {
                return Ok(true);
            }
            one.forget(spans);
            other.forget(spans);
            tried = match shortest {
                true if middle < to => subject.shortest(&one.program, from, on_one(subject.text, middle), to)?,
                false if middle > from => subject.longest(&one.program, from, back_one(subject.text, middle))?,
                _ => None,
            };
        }
        Ok(false)
    }

    /// No group in here took part.
    fn forget(&self, spans: &mut Spans) {
        if let Some(number) = self.capture {
            spans[number] = None;
        }
        match &self.kind {
            Kind::Leaf | Kind::Back { .. } => {}
            Kind::Both(one, other) => [one, other].iter().for_each(|part| part.forget(spans)),
            Kind::Either(parts) => parts.iter().for_each(|part| part.forget(spans)),
            Kind::Iterate { inside, .. } | Kind::Only(inside) => inside.forget(spans),
        }
    }
}

/// `span`'s text so many times, and nothing else, is what `within` holds.
fn repeats(
    text: &str,
    span: (usize, usize),
    within: (usize, usize),
    folded: bool,
    least: u32,
    most: Option<u32>,
) -> bool {
    let (once, all) = (&text.as_bytes()[span.0..span.1], &text.as_bytes()[within.0..within.1]);
    if once.is_empty() || all.is_empty() {
        return all.is_empty() && (once.is_empty() || least == 0);
    }
    let times = all.len() / once.len();
    let same = |chunk: &[u8]| if folded { chunk.eq_ignore_ascii_case(once) } else { chunk == once };
    all.len() % once.len() == 0
        && times >= least as usize
        && most.is_none_or(|most| times <= most as usize)
        && all.chunks(once.len()).all(same)
}

/// Rounds of `inside` that together take `from..to`. The ends of rounds are tried in its order of preference, the last round's
/// first; a round without characters only where the least count asks for it.
fn dissect_rounds(
    inside: &Part,
    (least, most): (usize, Option<usize>),
    subject: &mut Subject<'_>,
    from: usize,
    to: usize,
    spans: &mut Spans,
) -> PgResult<bool> {
    if least == 0 && from == to {
        return Ok(true);
    }
    let text = subject.text;
    let least = least.max(1);
    let most = most.unwrap_or(usize::MAX).min(characters(text, from, to)).max(least);
    let shortest = inside.nature.shortest;
    let mut ends = vec![from];
    let mut limit = if shortest { from } else { to };
    let mut verified = 0;
    loop {
        let round = ends.len();
        let start = ends[round - 1];
        // A round without characters is wanted only if the rest cannot make up the least count.
        let empty_refused = |rest_from: usize| round >= least || least - round < characters(text, rest_from, to);
        let end = if shortest {
            if limit == start && limit != to && empty_refused(limit) {
                limit = on_one(text, limit);
            }
            if round >= most {
                limit = to;
            }
            subject.shortest(&inside.program, start, limit, to)?
        } else {
            subject.longest(&inside.program, start, limit)?
        };
        verified = verified.min(round - 1);
        if let Some(end) = end {
            ends.push(end);
            if end != to {
                if round >= most {
                    ends.pop();
                } else if shortest || end != start || !empty_refused(end) {
                    limit = if shortest { end } else { to };
                    continue;
                }
            } else if round >= least {
                while verified < round {
                    inside.forget(spans);
                    if !inside.dissect(subject, ends[verified], ends[verified + 1], spans)? {
                        break;
                    }
                    verified += 1;
                }
                if verified == round {
                    return Ok(true);
                }
                ends.truncate(verified + 2);
            }
        }
        // Other ends of the last round, then of those before it.
        loop {
            let Some(end) = ends.pop().filter(|_| !ends.is_empty()) else { return Ok(false) };
            let (round, start) = (ends.len(), ends[ends.len() - 1]);
            if shortest {
                if end < to {
                    limit = on_one(text, end);
                    break;
                }
            } else if end > start {
                limit = back_one(text, end);
                if limit > start || (round < least && least - round >= characters(text, start, to)) {
                    break;
                }
            }
        }
    }
}
