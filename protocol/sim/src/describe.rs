//! Inputs, effects and messages as one line each, for traces.
use crate::world::{name, place_of};
use trivet_log::*;

pub fn body_name(body: &Body) -> &'static str {
    match body {
        Body::Heartbeat(_) => "Heartbeat",
        Body::Propose { .. } => "Propose",
        Body::Verdict { .. } => "Verdict",
        Body::Append { .. } => "Append",
        Body::AppendAck { .. } => "AppendAck",
        Body::AppendReject { .. } => "AppendReject",
        Body::Durable { .. } => "Durable",
        Body::Window { .. } => "Window",
        Body::ReadIndex { .. } => "ReadIndex",
        Body::ReadIndexReply { .. } => "ReadIndexReply",
        Body::PreVote { .. } => "PreVote",
        Body::PreVoteReply { .. } => "PreVoteReply",
        Body::Vote { .. } => "Vote",
        Body::VoteReply { .. } => "VoteReply",
        Body::Fetch { .. } => "Fetch",
        Body::FetchReply { .. } => "FetchReply",
        Body::TimeoutNow => "TimeoutNow",
        Body::LeaseRelease => "LeaseRelease",
    }
}

/// One line for a message: what it says, its term, and whether it carries a promise.
pub fn describe_message(message: &Message) -> String {
    let mut text = match &message.body {
        Body::Append { previous, entries, commit, durable } => {
            let references = entries.iter().filter(|entry| matches!(entry, AppendEntry::Reference { .. })).count();
            format!(
                "Append after {previous}: {} entries, {references} by reference, commit {} durable {}",
                entries.len(),
                commit.0,
                durable.0
            )
        }
        Body::Propose { proposals, lowest } => {
            let ids: Vec<String> = proposals.iter().map(|proposal| proposal.id.to_string()).collect();
            format!("Propose {} lowest {lowest}", ids.join(" "))
        }
        Body::FetchReply { previous, entries, refused, .. } => {
            format!("FetchReply after {previous}: {} entries, refused {refused}", entries.len())
        }
        other => format!("{other:?}"),
    };
    text += &format!(" [term {}]", message.term.0);
    if let Some(promise) = &message.promise {
        text += &format!(" promise (last {})", promise.last);
    }
    text
}

/// Positions as 1.2 and newtypes as their numbers, in what `Debug` printed.
pub fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, name)) = ["Position { term: Term(", "Index(", "Term(", "Boot(", "Ticket("]
        .iter()
        .filter_map(|n| Some((rest.find(n)?, *n)))
        .min()
    {
        short.push_str(&rest[..at]);
        rest = &rest[at + name.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        short.push_str(&rest[..digits]);
        rest = rest[digits..].strip_prefix(')').unwrap_or(&rest[digits..]);
        if name.starts_with("Position") {
            rest = rest.strip_prefix(", index: Index(").unwrap_or(rest);
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            short.push('.');
            short.push_str(&rest[..digits]);
            rest = rest[digits..].strip_prefix(") }").unwrap_or(&rest[digits..]);
        }
    }
    short + rest
}

pub fn describe_input(input: &Input) -> String {
    match input {
        Input::Receive(message) => format!("{} {}", name(place_of(message.from)), describe_message(message)),
        Input::Propose(proposal) => format!("Propose {} at {}", proposal.id, proposal.snapshot),
        Input::Loaded { entries, .. } => format!("Loaded {} entries", entries.len()),
        other => format!("{other:?}"),
    }
}

pub fn describe_output(output: &Output) -> String {
    match output {
        Output::Persist(request) => format!(
            "Persist #{} {:?} cut {:?} {} entries base {:?}",
            request.ticket.0,
            request.hard_state,
            request.truncate,
            request.entries.len(),
            request.base
        ),
        Output::Apply { entries } => {
            let upto = entries.last().map_or(Position::ZERO, |entry| entry.position);
            format!("Apply {} entries up to {upto}", entries.len())
        }
        other => format!("{other:?}"),
    }
}
