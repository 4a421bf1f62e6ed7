//! What stands in a certificate: for people, and for messages that say what is wrong with one.
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub subject: String,
    pub issuer: String,
    /// Host names and addresses that it is for.
    pub names: Vec<String>,
    pub authority: bool,
    pub from: Day,
    pub until: Day,
}

/// A moment, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

/// What a certificate's dates say of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Early,
    Valid { left: Duration },
    Expired,
}

impl Day {
    pub fn now() -> Day {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Day(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// `2026-11-30 18:05 UTC`
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ASN1Time::from_timestamp(self.0) {
            Ok(time) => {
                let at = time.to_datetime();
                let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
                write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", at.hour(), at.minute())
            }
            Err(_) => write!(f, "{} s since 1970", self.0),
        }
    }
}

impl Facts {
    pub fn standing(&self, now: Day) -> Standing {
        match now {
            now if now < self.from => Standing::Early,
            now if now > self.until => Standing::Expired,
            _ => Standing::Valid { left: Duration::from_secs((self.until.0 - now.0).unsigned_abs()) },
        }
    }
}

/// Every certificate of a PEM text, in its order.
pub fn inspect_pem(pem: &[u8]) -> Result<Vec<Facts>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    found.iter().map(inspect).collect()
}

pub(crate) fn inspect(der: &CertificateDer<'_>) -> Result<Facts, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().map(name).collect(),
        Ok(None) => Vec::new(),
        Err(error) => return Err(format!("its names do not read: {error}")),
    };
    let validity = certificate.validity();
    Ok(Facts {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        authority: certificate.is_ca(),
        from: Day(validity.not_before.timestamp()),
        until: Day(validity.not_after.timestamp()),
    })
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => Ipv4Addr::from(four).to_string(),
            (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).to_string(),
            _ => "an address of a strange length".to_owned(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{Validity, make_ca_valid, make_node_certificate, make_server_certificate_valid};
    use trivet_log::{ClusterId, NodeId};

    const DAY: i64 = 24 * 3600;

    #[test]
    fn what_was_put_in_is_read_back() {
        let authority = make_ca_valid(ClusterId(0xabc), Validity::Days(30)).expect("made");
        let names = ["db.example.org", "10.0.0.1", "::1"].map(str::to_owned);
        let server = make_server_certificate_valid(&authority, &names, Validity::Days(7)).expect("made");
        let text = format!("{}{}", server.certificate_pem, authority.certificate_pem);
        let now = Day::now();
        let [leaf, root] = inspect_pem(text.as_bytes()).expect("it reads").try_into().expect("two");
        assert_eq!(leaf.names, names);
        assert!(!leaf.authority && root.authority);
        assert_eq!(leaf.issuer, root.subject);
        assert!(root.subject.contains("authority of 00000000000000000000000000000abc.trivet"), "{}", root.subject);
        assert!((leaf.until.0 - now.0 - 7 * DAY).abs() < 60, "{leaf:?}");
        assert_eq!(leaf.standing(Day(now.0 + 8 * DAY)), Standing::Expired);
        assert_eq!(leaf.standing(Day(now.0 - 2 * DAY)), Standing::Early);
        let node = make_node_certificate(&authority, NodeId(3)).expect("made");
        let node = inspect_pem(node.certificate_pem.as_bytes()).expect("it reads").remove(0);
        assert_eq!(node.names, ["node-3.00000000000000000000000000000abc.trivet"]);
    }

    #[test]
    fn what_is_no_certificate_is_said_so() {
        assert_eq!(inspect_pem(b"hello"), Err("no certificate in it".to_owned()));
        let text = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(inspect_pem(text).expect_err("no").starts_with("not a certificate"), "{:?}", inspect_pem(text));
        assert_eq!(Day(1_796_061_900).to_string(), "2026-11-30 18:05 UTC");
    }
}
