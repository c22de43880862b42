/* Keys that ssh-keygen made for the tests, and for nothing else. */
#ifndef LEASED_TESTS_PLUGINS_LOCALCA_KEYS_H
#define LEASED_TESTS_PLUGINS_LOCALCA_KEYS_H

#define KEY_ED25519                                                                                \
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"                                                        \
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"                     \
    "QyNTUxOQAAACAqPhyAkRZNn1hr82UATOzsjNT1R4H5rT51hQNBesh+LAAAAIj1ENha9RDY\n"                     \
    "WgAAAAtzc2gtZWQyNTUxOQAAACAqPhyAkRZNn1hr82UATOzsjNT1R4H5rT51hQNBesh+LA\n"                     \
    "AAAEDi8x1ghd4PDe8Fz0Es896hhA0A1ihDVaGhTdMKWielcSo+HICRFk2fWGvzZQBM7OyM\n"                     \
    "1PVHgfmtPnWFA0F6yH4sAAAABHRlc3QB\n"                                                           \
    "-----END OPENSSH PRIVATE KEY-----\n"

#define KEY_ECDSA                                                                                  \
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"                                                        \
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAiAAAABNlY2RzYS\n"                     \
    "1zaGEyLW5pc3RwMzg0AAAACG5pc3RwMzg0AAAAYQR5kgMfFAU2RxeFSOtVx0Xq5+YgMwBX\n"                     \
    "yNLgaJZtWsEpeBbciYl6gYiTZ+J9kpe9bPEc1uQVjbYGcP1tm/3bLpSPEybOdN9KoJBa8d\n"                     \
    "5HTIs807XtU1wNrohwY3nOFqcHqJ4AAADQjNVLZ4zVS2cAAAATZWNkc2Etc2hhMi1uaXN0\n"                     \
    "cDM4NAAAAAhuaXN0cDM4NAAAAGEEeZIDHxQFNkcXhUjrVcdF6ufmIDMAV8jS4GiWbVrBKX\n"                     \
    "gW3ImJeoGIk2fifZKXvWzxHNbkFY22BnD9bZv92y6UjxMmznTfSqCQWvHeR0yLPNO17VNc\n"                     \
    "Da6IcGN5zhanB6ieAAAAMQDcvh0U5icjsFt7ju6V14yBbuozyGBTlISptOTYlLE3NnK96z\n"                     \
    "kSZaEzF8tMGzRnkFoAAAAEdGVzdAECAw==\n"                                                         \
    "-----END OPENSSH PRIVATE KEY-----\n"

#define KEY_RSA                                                                                    \
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"                                                        \
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcn\n"                     \
    "NhAAAAAwEAAQAAAQEA4PTn5Nb+Mm21o2t7b1zb6X76b8dgmvWTcpAS9LoJq718IVdnbE98\n"                     \
    "zeukep4kwWJr254JEWForSku4NSjsl61hRUJUtB6DlrP0ifxfw+rVHLf8Crl53vy7Xbhi/\n"                     \
    "qUpzNdxhoczxsrJCpzJ1tBthUXj232rvbuTlCjoWe8yTtBxnRYo+xFlrWXqYRYMqCyTViM\n"                     \
    "p9oDTFAGSrjnLd28xrQAZ9kziShBxrmv1gXHghjUyAJf5bSGM0XhB2YshVPVtm01B5n97C\n"                     \
    "mli3j8B0/v2s6+IeFPLU+p1xUAzLQqG2BBtYhFnK0Li66Hy8HfT/SEJTs2RPdw8Y4xyupW\n"                     \
    "fA4z7BMtkQAAA8B5mlk+eZpZPgAAAAdzc2gtcnNhAAABAQDg9Ofk1v4ybbWja3tvXNvpfv\n"                     \
    "pvx2Ca9ZNykBL0ugmrvXwhV2dsT3zN66R6niTBYmvbngkRYWitKS7g1KOyXrWFFQlS0HoO\n"                     \
    "Ws/SJ/F/D6tUct/wKuXne/LtduGL+pSnM13GGhzPGyskKnMnW0G2FRePbfau9u5OUKOhZ7\n"                     \
    "zJO0HGdFij7EWWtZephFgyoLJNWIyn2gNMUAZKuOct3bzGtABn2TOJKEHGua/WBceCGNTI\n"                     \
    "Al/ltIYzReEHZiyFU9W2bTUHmf3sKaWLePwHT+/azr4h4U8tT6nXFQDMtCobYEG1iEWcrQ\n"                     \
    "uLrofLwd9P9IQlOzZE93DxjjHK6lZ8DjPsEy2RAAAAAwEAAQAAAQACnETunmIPwr8nWNFz\n"                     \
    "Xt/8aylLz8P6uFvQKgTWSyxejlHY7zM3igqYNyJO+/PQPKykvUY8qeU1kTNGj6EgqkGv/C\n"                     \
    "kCCYJJFVuxBB6ky1FBJx4bItxNHd6ZS9ZdMfi0of92E4p/CsEq58UzUTdHfiIqW2vP5vSn\n"                     \
    "+v6TGmmR6jqeq2hkCDzg4rFdYwC+EVvammFCtATAQ1mJg54uBWGNZ7VWsyWs2V70OJOt5j\n"                     \
    "HSEjx8gw00oIm6KWOHfkK77qH20UaHKhEpw2eZrG20M81M/PGjHyR7458GI8RthmiEXLs7\n"                     \
    "MJnbqWKTqc0K8OjOGjxzLNUFKVMFAZnOx8JrNSQFsFUhAAAAgFYB3iGw4AHUFJPzPfSohh\n"                     \
    "qT3cUO0oi5mlBNyV6QhGu8ccn9cB1TC8MU/omPrQfzniCuEtR2VYKywoD1XucoPnGEU6rM\n"                     \
    "QkK05R61jr435+Uwj5OfhADecApzR/NdzWmWmUOQfgqWGKahtUwhOh2n6A7TO6EFAN32ks\n"                     \
    "E/7mW6bESqAAAAgQDymGrozxuZlPUdHNuINsZJGJQTKEqM0kGhQFlk7fHAz01Br8Q+anPi\n"                     \
    "IK8l+xoPDlxD2DeKHzEMscu28iEKOsMGiwLS2w3aMFNZJ3ejdFr3jvvrA2xt8w5PJy9dla\n"                     \
    "kkcsWCkWxHkvSY5D9LHw0v7D5C6bTMV2hXzfsDM0PFKPTl6QAAAIEA7WL7wQ0W9nrEtcJs\n"                     \
    "J5OMFRP54I+0wLYvALSbi5cHrbOmPkNpIPO916WPRw4hFplSDK0h+lQAEB/QlCR+vNtaSU\n"                     \
    "St8r1vfZIBqLigaxp2QhduMSeqCaV8JtxGV3Sh4DDO3TZCMzVb8lt98551s683HshgtaiU\n"                     \
    "/7rEK74VQN7wOWkAAAAEdGVzdAECAwQFBgc=\n"                                                       \
    "-----END OPENSSH PRIVATE KEY-----\n"

#define KEY_ENCRYPTED                                                                              \
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"                                                        \
    "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDhfRuX/K\n"                     \
    "60XOFKO9DzZ+kFAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIPCjgWUouq6Dlg0P\n"                     \
    "y+Bjk7drOJ+QSiDaXw4dKGk9Wq1lAAAAkIpPBplRSuq8JwTIk65fOjODADJM8S6t4jLVR2\n"                     \
    "uV8RSYY6ikqp654mE2PwYFOMvNMS1rsAQhtkapoNpiLzQB6D80o4H+j+LEtGydNwKYbMnO\n"                     \
    "vNu5PVCXo5h/Q8ipopYzdBpt7TW2fmnt/zkG0HgcbVSb73tqLLH1w34f9bz3cwTz/6PYSt\n"                     \
    "8wpwpMPTE+g+7ejA==\n"                                                                         \
    "-----END OPENSSH PRIVATE KEY-----\n"

#define KEY_PEM                                                                                    \
    "-----BEGIN EC PRIVATE KEY-----\n"                                                             \
    "MHcCAQEEIKycklrkEeKpXo1ooZiyYtG7L8rv043vNTgCHUOK/tAjoAoGCCqGSM49\n"                           \
    "AwEHoUQDQgAEDYkgdLvBy6rsvnPC3ZgyMaCqKORIJ7CsmGPB5Rr/2AxtBx7y5xJO\n"                           \
    "XFk6CMpkAkd7vyu3C7A6+K0VovSega1SlQ==\n"                                                       \
    "-----END EC PRIVATE KEY-----\n"

#define PUBLIC_ED25519                                                                             \
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICo+HICRFk2fWGvzZQBM7OyM1PVHgfmtPnWFA0F6yH4s tes"         \
    "t"

#define PUBLIC_ECDSA                                                                               \
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBHmSAx8UBTZH"         \
    "F4VI61XHRern5iAzAFfI0uBolm1awSl4FtyJiXqBiJNn4n2Sl71s8RzW5BWNtgZw/W2b/dsulI8TJs5030qg"         \
    "kFrx3kdMizzTte1TXA2uiHBjec4Wpweong== test"

#define PUBLIC_RSA                                                                                 \
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDg9Ofk1v4ybbWja3tvXNvpfvpvx2Ca9ZNykBL0ugmrvXwh"         \
    "V2dsT3zN66R6niTBYmvbngkRYWitKS7g1KOyXrWFFQlS0HoOWs/SJ/F/D6tUct/wKuXne/LtduGL+pSnM13G"         \
    "GhzPGyskKnMnW0G2FRePbfau9u5OUKOhZ7zJO0HGdFij7EWWtZephFgyoLJNWIyn2gNMUAZKuOct3bzGtABn"         \
    "2TOJKEHGua/WBceCGNTIAl/ltIYzReEHZiyFU9W2bTUHmf3sKaWLePwHT+/azr4h4U8tT6nXFQDMtCobYEG1"         \
    "iEWcrQuLrofLwd9P9IQlOzZE93DxjjHK6lZ8DjPsEy2R test"

#define PUBLIC_PEM                                                                                 \
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA2JIHS7wcuq"         \
    "7L5zwt2YMjGgqijkSCewrJhjweUa/9gMbQce8ucSTlxZOgjKZAJHe78rtwuwOvitFaL0noGtUpU= test"

#endif
