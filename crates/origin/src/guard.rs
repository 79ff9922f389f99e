//! Which addresses may be connected to: those of the public internet, and those of networks that the operator names. Everybody who may ask for a
//! fetch chooses where it goes, so what only this machine or its network reaches is closed to it.

use std::net::{IpAddr, Ipv4Addr};

use crate::network::Network;

/// IPv4 addresses that are not public: IANA's special-purpose registry.
const NOT_PUBLIC: [Network; 16] = [
    Network::v4([0, 0, 0, 0], 8),
    Network::v4([10, 0, 0, 0], 8),
    Network::v4([100, 64, 0, 0], 10),
    Network::v4([127, 0, 0, 0], 8),
    // Link-local: cloud providers tell machines their credentials here.
    Network::v4([169, 254, 0, 0], 16),
    // Azure does so here, though the address looks public.
    Network::v4([168, 63, 129, 16], 32),
    Network::v4([172, 16, 0, 0], 12),
    Network::v4([192, 0, 0, 0], 24),
    Network::v4([192, 0, 2, 0], 24),
    Network::v4([192, 88, 99, 0], 24),
    Network::v4([192, 168, 0, 0], 16),
    Network::v4([198, 18, 0, 0], 15),
    Network::v4([198, 51, 100, 0], 24),
    Network::v4([203, 0, 113, 0], 24),
    // Multicast, reserved, broadcast.
    Network::v4([224, 0, 0, 0], 4),
    Network::v4([240, 0, 0, 0], 4),
];

/// All public IPv6 addresses are in here.
const GLOBAL: Network = Network::v6([0x2000, 0, 0, 0], 3);

/// What of it is not public: protocol assignments with Teredo, documentation twice, and 6to4, which hides IPv4 addresses.
const NOT_GLOBAL: [Network; 4] = [
    Network::v6([0x2001, 0, 0, 0], 23),
    Network::v6([0x2001, 0xdb8, 0, 0], 32),
    Network::v6([0x2002, 0, 0, 0], 16),
    Network::v6([0x3fff, 0, 0, 0], 20),
];

/// Where IPv6 alone is spoken, IPv4 addresses are reached by these.
const NAT64: Network = Network::v6([0x64, 0xff9b, 0, 0], 96);

/// Which addresses may be connected to.
#[derive(Debug)]
pub(crate) struct Guard {
    /// What the operator opens besides the public ones.
    pub(crate) opened: Vec<Network>,
}

impl Guard {
    pub(crate) fn lets(&self, address: IpAddr) -> bool {
        let meant = meant(address);
        is_public(meant) || self.opened.iter().any(|network| network.contains(meant) || network.contains(address))
    }
}

/// The IPv4 address that an IPv6 address stands for, or the address itself.
fn meant(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if NAT64.contains(address) => IpAddr::V4(Ipv4Addr::from_bits(v6.to_bits() as u32)),
        other => other.to_canonical(),
    }
}

fn is_public(address: IpAddr) -> bool {
    let within = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
    match address {
        IpAddr::V4(_) => !within(&NOT_PUBLIC),
        IpAddr::V6(_) => GLOBAL.contains(address) && !within(&NOT_GLOBAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets(opened: &[&str], address: &str) -> bool {
        let opened = opened.iter().map(|network| network.parse().unwrap()).collect();
        Guard { opened }.lets(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_let() {
        for address in
            ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.128.0.0", "2606:4700::1111", "64:ff9b::808:808"]
        {
            assert!(lets(&[], address), "{address}");
        }
    }

    #[test]
    fn what_only_this_machine_or_its_network_reaches_is_not() {
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.192",
            "198.18.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
        ] {
            assert!(!lets(&[], address), "{address}");
        }
    }

    #[test]
    fn what_the_operator_opens_is_let_and_nothing_beside_it() {
        assert!(lets(&["10.1.0.0/16"], "10.1.2.3") && lets(&["10.1.0.0/16"], "::ffff:10.1.2.3"));
        assert!(!lets(&["10.1.0.0/16"], "10.2.0.1"));
        assert!(lets(&["192.168.0.0/16", "fd00:1::/32"], "fd00:1::7"));
        assert!(!lets(&["fd00:1::/32"], "fd00:2::7"));
    }
}
