//! A tree as a nondeterministic automaton, and how far a text matches it.
//!
//! Runs by sets of states: a character costs at most the automaton's size, whatever the pattern. What a back reference
//! refers to is taken for any match of its group here; who needs to know compares afterwards (`dissect`).
use super::invalid;
use super::parse::{Assertion, Node};
use super::set::{CharSet, is_word};
use crate::environment::Environment;
use crate::error::PgResult;
use std::collections::HashMap;

const STEPS_MAX: usize = 200_000;
/// Characters between two looks at whether the statement was cancelled.
const INTERRUPT_PERIOD: u32 = 4096;

#[derive(Debug)]
enum Step {
    Set(CharSet, usize),
    Split(usize, usize),
    Assert(Assertion, usize),
    Look(usize, usize),
    Match,
}

#[derive(Debug)]
struct Look {
    behind: bool,
    negative: bool,
    inside: Program,
}

#[derive(Debug)]
pub struct Program {
    steps: Vec<Step>,
    start: usize,
    looks: Vec<Look>,
}

/// The numbered groups of a pattern.
pub type Groups<'p> = HashMap<usize, &'p Node>;

impl Program {
    pub fn new(node: &Node, groups: &Groups<'_>) -> PgResult<Program> {
        let mut program = Program { steps: vec![Step::Match], start: 0, looks: Vec::new() };
        program.start = program.put(node, groups, 0)?;
        Ok(program)
    }

    fn push(&mut self, step: Step) -> PgResult<usize> {
        if self.steps.len() >= STEPS_MAX {
            return Err(invalid("regular expression is too complex"));
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    /// Add the steps of a node that go on at `next`; gives their first.
    fn put(&mut self, node: &Node, groups: &Groups<'_>, next: usize) -> PgResult<usize> {
        match node {
            Node::Set(set) => self.push(Step::Set(set.clone(), next)),
            Node::Assert(assertion) => self.push(Step::Assert(*assertion, next)),
            Node::Look { behind, negative, inside } => {
                let inside = Program::new(inside, groups)?;
                self.looks.push(Look { behind: *behind, negative: *negative, inside });
                self.push(Step::Look(self.looks.len() - 1, next))
            }
            Node::Group { inside, .. } => self.put(inside, groups, next),
            Node::Back { group, .. } => match groups.get(group) {
                Some(inside) => self.put(inside, groups, next),
                None => Ok(next),
            },
            Node::Sequence(items) => items.iter().rev().try_fold(next, |next, item| self.put(item, groups, next)),
            Node::Choice(branches) => {
                let mut first = self.put(&branches[branches.len() - 1], groups, next)?;
                for branch in branches[..branches.len() - 1].iter().rev() {
                    let start = self.put(branch, groups, next)?;
                    first = self.push(Step::Split(start, first))?;
                }
                Ok(first)
            }
            Node::Repeat { inside, least, most, .. } => {
                let mut first = match most {
                    None => {
                        let again = self.push(Step::Split(next, next))?;
                        let body = self.put(inside, groups, again)?;
                        self.steps[again] = Step::Split(body, next);
                        again
                    }
                    Some(most) => {
                        let mut first = next;
                        for _ in *least..*most {
                            let body = self.put(inside, groups, first)?;
                            first = self.push(Step::Split(body, next))?;
                        }
                        first
                    }
                };
                for _ in 0..*least {
                    first = self.put(inside, groups, first)?;
                }
                Ok(first)
            }
        }
    }
}

/// States in order of arrival, each once.
#[derive(Default)]
struct States {
    list: Vec<usize>,
    seen: Vec<bool>,
}

impl States {
    fn sized(count: usize) -> States {
        States { list: Vec::new(), seen: vec![false; count] }
    }
    fn clear(&mut self) {
        self.list.drain(..).for_each(|at| self.seen[at] = false);
    }
}

/// A text that programs run on.
pub struct Subject<'t> {
    pub text: &'t str,
    environment: &'t dyn Environment,
    until_check: u32,
    /// Where the matches of each look-behind end, by its place in memory.
    behind: HashMap<usize, Vec<bool>>,
}

impl<'t> Subject<'t> {
    pub fn new(text: &'t str, environment: &'t dyn Environment) -> Subject<'t> {
        Subject { text, environment, until_check: INTERRUPT_PERIOD, behind: HashMap::new() }
    }

    fn tick(&mut self) -> PgResult<()> {
        self.until_check -= 1;
        if self.until_check == 0 {
            self.until_check = INTERRUPT_PERIOD;
            self.environment.check_interrupt()?;
        }
        Ok(())
    }

    fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let before = self.text[..at].chars().next_back();
        let after = self.text[at..].chars().next();
        let (word_before, word_after) = (before.is_some_and(is_word), after.is_some_and(is_word));
        match assertion {
            Assertion::TextStart => at == 0,
            Assertion::TextEnd => after.is_none(),
            Assertion::LineStart => matches!(before, None | Some('\n')),
            Assertion::LineEnd => matches!(after, None | Some('\n')),
            Assertion::WordStart => !word_before && word_after,
            Assertion::WordEnd => word_before && !word_after,
            Assertion::WordEdge => word_before != word_after,
            Assertion::NoWordEdge => word_before == word_after,
        }
    }

    fn looks(&mut self, look: &Look, at: usize) -> PgResult<bool> {
        if !look.behind {
            return Ok(self.shortest(&look.inside, at, at, self.text.len())?.is_some() != look.negative);
        }
        let key = std::ptr::from_ref(look) as usize;
        if !self.behind.contains_key(&key) {
            let ends = self.ends(&look.inside)?;
            self.behind.insert(key, ends);
        }
        Ok(self.behind[&key][at] != look.negative)
    }

    /// Where matches end that begin anywhere.
    fn ends(&mut self, program: &Program) -> PgResult<Vec<bool>> {
        let mut ends = vec![false; self.text.len() + 1];
        let (mut now, mut then) = (States::sized(program.steps.len()), States::sized(program.steps.len()));
        let mut at = 0;
        loop {
            ends[at] = self.reach(program, program.start, at, &mut now)?
                || now.list.iter().any(|state| matches!(program.steps[*state], Step::Match));
            let Some(ch) = self.text[at..].chars().next() else { return Ok(ends) };
            at += ch.len_utf8();
            self.advance(program, ch, at, &now, &mut then)?;
            std::mem::swap(&mut now, &mut then);
        }
    }

    /// Add a state and all that it leads to without a character; true if the match is among them.
    fn reach(&mut self, program: &Program, state: usize, at: usize, states: &mut States) -> PgResult<bool> {
        let mut waiting = vec![state];
        let mut matched = false;
        while let Some(state) = waiting.pop() {
            if std::mem::replace(&mut states.seen[state], true) {
                continue;
            }
            states.list.push(state);
            match &program.steps[state] {
                Step::Match => matched = true,
                Step::Set(..) => {}
                Step::Split(one, other) => waiting.extend([*other, *one]),
                Step::Assert(assertion, next) => waiting.extend(self.holds(*assertion, at).then_some(*next)),
                Step::Look(look, next) => waiting.extend(self.looks(&program.looks[*look], at)?.then_some(*next)),
            }
        }
        Ok(matched)
    }

    /// The states behind a character; true if the match is among them.
    fn advance(&mut self, program: &Program, ch: char, at: usize, now: &States, then: &mut States) -> PgResult<bool> {
        self.tick()?;
        then.clear();
        let mut matched = false;
        for state in &now.list {
            if let Step::Set(set, next) = &program.steps[*state] {
                if set.contains(ch) {
                    matched |= self.reach(program, *next, at, then)?;
                }
            }
        }
        Ok(matched)
    }

    /// The farthest end of a match from `start`, not beyond `limit`.
    pub fn longest(&mut self, program: &Program, start: usize, limit: usize) -> PgResult<Option<usize>> {
        self.run(program, start, limit, None)
    }

    /// The nearest end of a match from `start`, not before `least` nor beyond `limit`.
    pub fn shortest(&mut self, program: &Program, start: usize, least: usize, limit: usize) -> PgResult<Option<usize>> {
        self.run(program, start, limit, Some(least))
    }

    fn run(
        &mut self,
        program: &Program,
        start: usize,
        limit: usize,
        first_from: Option<usize>,
    ) -> PgResult<Option<usize>> {
        let (mut now, mut then) = (States::sized(program.steps.len()), States::sized(program.steps.len()));
        let mut at = start;
        let mut matched = self.reach(program, program.start, at, &mut now)?;
        let mut found = None;
        loop {
            if matched {
                found = Some(at).filter(|at| first_from.is_none_or(|least| *at >= least)).or(found);
                if first_from.is_some() && found.is_some() {
                    return Ok(found);
                }
            }
            if at >= limit || now.list.is_empty() {
                return Ok(found);
            }
            let Some(ch) = self.text[at..].chars().next() else { return Ok(found) };
            at += ch.len_utf8();
            if at > limit {
                return Ok(found);
            }
            matched = self.advance(program, ch, at, &now, &mut then)?;
            std::mem::swap(&mut now, &mut then);
        }
    }
}
