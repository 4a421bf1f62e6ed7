mod brute;
mod drawn;
mod engine;
mod large;
mod transcripts;
