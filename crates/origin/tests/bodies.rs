//! What comes of an origin's answers.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use kura_origin::{Error, Origins};
use support::{Answer, Origin, elsewhere, fetched, ok, origins, rest, settings, status};

const HERE: [&str; 1] = ["127.0.0.1"];

#[tokio::test]
async fn a_body_comes_whole_with_its_length_or_in_chunks() {
    let origin = Origin::new(|path| match path {
        "/plain?a=b" => ok(&[7; 300_000]),
        _ => Answer::Ends(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec(),
        ),
    })
    .await;
    let origins = origins(&HERE);
    let mut download = origins.get(&origin.uri("/plain?a=b#part")).await.unwrap();
    assert_eq!(download.length(), Some(300_000));
    assert!(rest(&mut download).await.unwrap() == [7; 300_000]);
    let mut download = origins.get(&origin.uri("/chunked")).await.unwrap();
    assert_eq!(download.length(), None);
    assert_eq!(rest(&mut download).await.unwrap(), b"abcde");
}

#[tokio::test]
async fn redirects_are_followed_so_far() {
    let origin = Origin::new(|path| match path.split_at(3) {
        ("/a/", "start") => elsewhere("../a/next"),
        ("/a/", "../a/next") => elsewhere("/b/?x"),
        ("/b/", "?x") => ok(b"found"),
        ("/in", _) => elsewhere("/in"),
        ("/no", _) => Answer::Ends(b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n".to_vec()),
        (_, number) => match number.parse() {
            Ok(0) => ok(b"the end"),
            Ok(number) => elsewhere(&format!("/n/{}", number - 1)),
            Err(_) => status("404 Not Found"),
        },
    })
    .await;
    let origins = origins(&HERE);
    assert_eq!(fetched(&origins, &origin.uri("/a/start")).await.unwrap(), b"found");
    assert_eq!(fetched(&origins, &origin.uri("/n/10")).await.unwrap(), b"the end");
    for path in ["/n/11", "/in", "/nowhere"] {
        assert!(matches!(fetched(&origins, &origin.uri(path)).await, Err(Error::Unusable(_))), "{path}");
    }
}

#[tokio::test]
async fn what_an_origin_answers_is_told_apart() {
    let origin = Origin::new(|path| status(&format!("{} X", &path[1..]))).await;
    let origins = origins(&HERE);
    for code in [404, 410, 401, 403, 408, 429, 500, 503, 204, 206, 304, 400, 418] {
        let error = fetched(&origins, &origin.uri(&format!("/{code}"))).await.unwrap_err();
        let expected = match code {
            404 | 410 => matches!(error, Error::NotFound(_)),
            401 | 403 => matches!(error, Error::Denied(_)),
            408 | 429 | 500.. => matches!(error, Error::Unavailable(_)),
            _ => matches!(error, Error::Unusable(_)),
        };
        assert!(expected, "{code}: {error:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_fails() {
    let origin = Origin::new(|path| match path {
        "/length" => Answer::Ends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_vec()),
        "/chunk" => Answer::Ends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc".to_vec()),
        _ => Answer::Ends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec()),
    })
    .await;
    for path in ["/length", "/chunk", "/chunks"] {
        let found = fetched(&origins(&HERE), &origin.uri(path)).await;
        assert!(matches!(found, Err(Error::Unavailable(_))), "{path}: {found:?}");
    }
}

#[tokio::test]
async fn a_body_whose_end_nobody_can_tell_is_not_taken() {
    let origin = Origin::new(|path| {
        let coding = match path {
            "/identity" => "Transfer-Encoding: identity\r\nContent-Length: 100\r\n",
            "/gzip" => "Transfer-Encoding: gzip\r\n",
            _ => "",
        };
        Answer::Ends(format!("HTTP/1.1 200 OK\r\n{coding}\r\nabc").into_bytes())
    })
    .await;
    for path in ["/", "/identity", "/gzip"] {
        let found = fetched(&origins(&HERE), &origin.uri(path)).await;
        assert!(matches!(found, Err(Error::Unusable(_))), "{path}: {found:?}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_not_read_to_it() {
    let origin = Origin::new(|_| {
        let long = "x".repeat(100 << 10);
        Answer::Stalls(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {long}").into_bytes())
    })
    .await;
    assert!(matches!(fetched(&origins(&HERE), &origin.uri("/")).await, Err(Error::Unusable(_))));
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let origin = Origin::new(|_| Answer::Stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_vec())).await;
    let impatient = Origins::new(kura_origin::Settings { stall: Duration::from_millis(50), ..settings(&HERE) });
    assert!(matches!(fetched(&impatient, &origin.uri("/")).await, Err(Error::Slow(_))));
}

#[tokio::test]
async fn where_nobody_listens_is_unavailable() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = fetched(&origins(&HERE), &format!("http://{gone}/")).await;
    assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
    let nameless = fetched(&origins(&HERE), "http://no-such-host.invalid/").await;
    assert!(matches!(nameless, Err(Error::Unavailable(_) | Error::Slow(_))), "{nameless:?}");
}
