//! Countries by their ISO 3166-1 alpha-2 codes.

/// The officially assigned codes; user-assigned, reserved and withdrawn ones are left out. Source: the
/// IANA time zone database, which follows the ISO 3166 Maintenance Agency.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN \
    BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ \
    DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL \
    GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM \
    JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME \
    MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP \
    NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD \
    SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Whether this is the code of a country or territory, in capital letters.
#[must_use]
pub fn is_country(code: &str) -> bool {
    codes().any(|known| known == code)
}

/// All codes that there are.
pub fn codes() -> impl Iterator<Item = &'static str> {
    CODES.split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_assigned_codes_are_countries() {
        for code in ["AX", "DE", "GB", "SS", "US", "ZW"] {
            assert!(is_country(code), "{code}");
        }
        for code in
            ["", "D", "de", "DEU", "UK", "EU", "XK", "AN", "SU", "YU", "ZZ", "XX", "D E", " "]
        {
            assert!(!is_country(code), "{code}");
        }
        assert_eq!(codes().count(), 249);
    }
}
