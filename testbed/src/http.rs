//! As much of an HTTP/1.1 client as a node's status page needs: one request a connection, small answers.
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No status page is larger.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

pub async fn get(address: SocketAddr, path: &str, bound: Duration) -> Result<Vec<u8>> {
    request(address, "GET", path, bound).await
}

pub async fn post(address: SocketAddr, path: &str, bound: Duration) -> Result<Vec<u8>> {
    request(address, "POST", path, bound).await
}

/// The body of a 2xx answer; any other is an error that carries its first line.
async fn request(address: SocketAddr, method: &str, path: &str, bound: Duration) -> Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.context("cannot send")?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.context("cannot read the answer")?;
        parse(&answer)
    };
    match tokio::time::timeout(bound, exchange).await {
        Ok(answer) => answer.with_context(|| format!("{method} http://{address}{path}")),
        Err(_) => bail!("{method} http://{address}{path}: no answer within {} ms", bound.as_millis()),
    }
}

fn parse(answer: &[u8]) -> Result<Vec<u8>> {
    let end = find(answer, b"\r\n\r\n").context("the answer is cut short")?;
    let head = std::str::from_utf8(&answer[..end]).context("the answer's head is not text")?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let code: u16 = status
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("odd answer '{status}'"))?;
    let chunked = lines.any(|line| line.to_ascii_lowercase().replace(' ', "") == "transfer-encoding:chunked");
    let body = if chunked { unchunk(body)? } else { body.to_vec() };
    if !(200..300).contains(&code) {
        let text = String::from_utf8_lossy(&body);
        bail!("answered {code}: {}", text.lines().next().unwrap_or_default());
    }
    Ok(body)
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = find(rest, b"\r\n").context("a chunk is cut short")?;
        let size = std::str::from_utf8(&rest[..line_end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.context("a chunk has no size")?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).context("a chunk is cut short")?);
        rest = rest.get(size + 2..).context("a chunk is cut short")?;
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_read() {
        let table: [(&str, Result<&str, &str>); 6] = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", Ok("hi")),
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok("")),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n", Ok("hi!")),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi", Err("a chunk is cut short")),
            ("HTTP/1.1 503 Gone\r\n\r\nno leader\nmore", Err("answered 503: no leader")),
            ("nonsense", Err("the answer is cut short")),
        ];
        for (answer, expected) in table {
            match (parse(answer.as_bytes()), expected) {
                (Ok(body), Ok(text)) => assert_eq!(body, text.as_bytes(), "{answer}"),
                (Err(error), Err(text)) => assert_eq!(error.to_string(), text, "{answer}"),
                (found, _) => panic!("{answer}: {found:?}"),
            }
        }
    }
}
