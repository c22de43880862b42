/* Certificates of ssh-keygen for the principal bob. */
#ifndef TESTS_UNIT_PLUGIN_VAULT_SSH_CERTIFICATES_H
#define TESTS_UNIT_PLUGIN_VAULT_SSH_CERTIFICATES_H

/* valid before */
#define SSH_BEFORE_S 1700003600

#define SSH_ED25519                                                                                \
    "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAINWUN0w/5F+fG2vYPbGcDhHgx1Nz"             \
    "qLa10pXmXjoGMf6BAAAAILFn7WQPMHAO3iDbN2TxxMtoqWAD7wvx4chjHUdGXooFAAAAAAAAAAAAAAAB"             \
    "AAAAAmlkAAAABwAAAANib2IAAAAAZVPt4AAAAABlU/8QAAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3"             \
    "YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9y"             \
    "d2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMA"             \
    "AAALc3NoLWVkMjU1MTkAAAAgDeUkD0SVjZEWJn8E9Bdxx7fDVwfPv1Po2fzmjmdocswAAABTAAAAC3Nz"             \
    "aC1lZDI1NTE5AAAAQOrCoq0FaqettpzpC1Li3VH/oILzcVudaOmXP7t61/dcEQkwUlfLNL56QG0KurBd"             \
    "8V+tRF5jYaA9zj/p1TqStA4="

#define SSH_RSA                                                                                    \
    "AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20AAAAgl9JuBfF29R2plfw4qwDlou5ye6rtIxSW"             \
    "iRfKmHbw2FgAAAADAQABAAAAgQDpEaKOAA/Ua3shCXY/GPJIllA2Bb87cGgzERJqgUwboPXEmzeJnnts"             \
    "fC5GfJ5R2g5hRHeimw6/yR+6usvVKwD7EY/JVv8+JIAhY3XNFjFQNJ4TXto4Msi6ux8X9Oy50p8i6MZ4"             \
    "8vomYgPn64m6kI2HN9BX8bml6xH1AEeXc9s1JwAAAAAAAAAAAAAAAQAAAAJpZAAAAAcAAAADYm9iAAAA"             \
    "AGVT7eAAAAAAZVP/EAAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0"             \
    "LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1p"             \
    "dC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIA3l"             \
    "JA9ElY2RFiZ/BPQXcce3w1cHz79T6Nn85o5naHLMAAAAUwAAAAtzc2gtZWQyNTUxOQAAAECD9MyQlxjr"             \
    "dtJAvEgCYXR3vFINxxONQnvqecRSSGsokieEgj/YHGUFhTGk+mKg+Zr5RyB1/B3cOzpKyw1SwhoK"

#define SSH_ECDSA                                                                                  \
    "AAAAKGVjZHNhLXNoYTItbmlzdHAyNTYtY2VydC12MDFAb3BlbnNzaC5jb20AAAAg2ulmBiFyv14fsxQn"             \
    "LiBfTxhy2H6J8PHeAwlRw83WEksAAAAIbmlzdHAyNTYAAABBBNMi+uA1s1dzBoau616nVPNVpMHayT+1"             \
    "6j2DEZMYqhlaPgeOykMIi1cMw5vsulXvuujSyeyNEA6eJZ3InLR5Xy0AAAAAAAAAAAAAAAEAAAACaWQA"             \
    "AAAHAAAAA2JvYgAAAABlU+3gAAAAAGVT/xAAAAAAAAAAggAAABVwZXJtaXQtWDExLWZvcndhcmRpbmcA"             \
    "AAAAAAAAF3Blcm1pdC1hZ2VudC1mb3J3YXJkaW5nAAAAAAAAABZwZXJtaXQtcG9ydC1mb3J3YXJkaW5n"             \
    "AAAAAAAAAApwZXJtaXQtcHR5AAAAAAAAAA5wZXJtaXQtdXNlci1yYwAAAAAAAAAAAAAAMwAAAAtzc2gt"             \
    "ZWQyNTUxOQAAACAN5SQPRJWNkRYmfwT0F3HHt8NXB8+/U+jZ/OaOZ2hyzAAAAFMAAAALc3NoLWVkMjU1"             \
    "MTkAAABA3YGNMVasC47oHc5v/5dyKF+DtV1NyFlWn5QgXq6jBtdFYpvG6iHGYdg9IKo6wlTtlGmlmn0j"             \
    "1pvHPWCFSqMmDA=="

/* Without an end. */
#define SSH_FOREVER                                                                                \
    "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIENcuocb1zLHJY7K657LvIDn42Au"             \
    "67OZ6G0O2tSiHxNPAAAAILFn7WQPMHAO3iDbN2TxxMtoqWAD7wvx4chjHUdGXooFAAAAAAAAAAAAAAAB"             \
    "AAAAAmlkAAAABwAAAANib2IAAAAAAAAAAP//////////AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3"             \
    "YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9y"             \
    "d2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMA"             \
    "AAALc3NoLWVkMjU1MTkAAAAgDeUkD0SVjZEWJn8E9Bdxx7fDVwfPv1Po2fzmjmdocswAAABTAAAAC3Nz"             \
    "aC1lZDI1NTE5AAAAQILyaIOjwaGv0n9w6sSO/DZl1toq68QFDgLOSI6ALaibPvyWfJmi/7/6GR0VM3Fk"             \
    "DOOWbCeld2jnJpkaU0Wl+Ac="

#endif
