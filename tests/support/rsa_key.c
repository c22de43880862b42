#include "support/rsa_key.h"

#include "base/check.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static const char *const pems[] = {
    [RSA_KEY_2048] = "-----BEGIN PRIVATE KEY-----\n"
                     "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDViZGmx/ywFIvf\n"
                     "zgBl8gynfeYrPMRRVChFVhIcfsH8Gqnincwiqr92qePcfqUZ/fBt/FohL7stg4Im\n"
                     "cRLk7ZToLMePvSkiurQoXZaWtZjOei7diED/4JAND1nHVQVN0qUGI5wZEmLESvwE\n"
                     "7M/ob6cc6CLhJESX9AZmu4+bwjx5xfz04a4LStUjVuXlMSa7ZWYG/yKQChlLhaM7\n"
                     "eqF4O9ty2FVTOVn/D37QVgJhjvZcenR8Mk+ffV88jFVOdwVyvAT50CA1/Daz70jh\n"
                     "DvhyGuJkHY07iK9wMihbNyd8AtG0/TPRUOHakP5UVaffCsVG0owFM74VVPoUSuWz\n"
                     "rVAwvujBAgMBAAECggEAUfO6MogOMoWwKPSmsnly4dUvwOhRb+Ucj3+487ayPE7/\n"
                     "ZDmrXqKpWKFbEgSI2LDc1VlEPfhTneQazyYWWkXUIEcPT9sJLor5GYTRhoWrX5ME\n"
                     "6YChcZJ9toVtr1Kx9mwhaXnBLt4fibY9gqZgJJS1TiLJQB7rNGYzDrptIxoom5Lt\n"
                     "SFkdCpuTrNdpqMzwS+/k1KDpIECFTekNiY5AKHD2h2dZLEMEp/P7ytcgoAsp3zgm\n"
                     "lqrlrT6nfgkZV/P/ohT2ILcJ9yqQ2pAf3Fi3/HpVTCNqq4GroalJmWBahSo/OXov\n"
                     "3d9wBD3x/yZqn0WFFyIHQyuhGGurivoY2o9aG4Y9AQKBgQDsWhnElmr8jpW2pn61\n"
                     "1wWjHkteDYacKTwYnMXsE9pDqOzfhnQmQdsrdj1FnDjYlhj0OWF7/MHyT4dI8mV6\n"
                     "4iM1yV72F4caj+HXFyJ22+f1Up/jDuenJJbZm29ENw91Dkz2Dw5+9I83PcNO6+Y1\n"
                     "lBQ0FI3sbsXD1ugZsj/ffN10mwKBgQDnSfE4kE7tVxWjMR0D2u1FJJKRsFbPtvxl\n"
                     "oGCUQ/ZyvJZyV+IEZqSnZPpUowSXJ76Xj4C95M4a4hpOd0qf1hZIdGEYtlmrZYIa\n"
                     "DHEvS21e/1Nq1jFoV8U1UURtorQhqVxw+Xj2ZyrqSxYoCXOpdmqnrv1jhdwJY291\n"
                     "z4MNQOe30wKBgEKgx8DWkoRuAaCC4ReL7Sflw2NZNshRC4L4twbtNct7FIOS2K1s\n"
                     "RUfERlOYTaIo9hHrFyMnxtjzOHUE+DyjAUAJa36+dTS0uPq0p9+P8J0E1NPigMVq\n"
                     "mCfyHHTDfNUH2gRHjFOXx8PP4n4eHECgZO2lmbi8JX4m2DleOYlcHuXfAoGACkX3\n"
                     "h/qo9tPaazBASK6NwXd5Zy08/ebz2RPBlnRaWwhTamrK6EUi5SiQEfhXuNsUFSlT\n"
                     "n5utJ/aJEpkr4GOjA77fnThkTT+qArwwvtgL2J9gtisjcK4NXWvprTD/7UrXh1Ed\n"
                     "dVxpxJRnPIoG8C0JWb9lE+mbN3OKPOJlwM30PO8CgYACaZfers/RqW/k/D2NObGk\n"
                     "malir8k0G4QNFf3QkGtc09+SJhepfUY6kCeWisZDDgfeN5Ykd08JqkwmzpPcaDyT\n"
                     "tlT7ojlUev5Mc+MIvUksYpO0TZ15fsQAJz/iLJwTN6rz67sLhGr2INQFwsJ12LWu\n"
                     "SKG7d1PKsMSCp+mcp+tp1w==\n"
                     "-----END PRIVATE KEY-----\n",
    [RSA_KEY_2048_OTHER] = "-----BEGIN PRIVATE KEY-----\n"
                           "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC6rTlAp7lR3AY/\n"
                           "397QOTRoCH1OgGfG5tKX3wKjNLFBTGTYGF2b3K62PNwhTEkUqwiAxbIx+u55AV3A\n"
                           "CAcCJyOAqe445SfeVXanVEQJ6HHztHfvfd/odTX7tuCcqA29tyXEJwutBl0ihOq/\n"
                           "Xtjm+CoFtZhC6a1hxQq2elncAYT75URTqYvEUmF0IAUFjpgAxypUqF5Vu8orJph4\n"
                           "GiKuRngznRPok8tnU1lDD7H4c80XHuGcML/HhTMQnFGX5zKJXA+tnTKWtsCqoXFQ\n"
                           "xmIRwFJTWDpF0GprAFflXOvs1te2NDYOk4J2mc1UIk9FmUFNW0NB/nCL9q4OorqQ\n"
                           "oCpgd0KxAgMBAAECggEAB2qrs5teUr0Q71TR4E26MhfD67x7XbTiFn2E+C6XIXLQ\n"
                           "rwsRHV4gP7ZitrzLoANiE3oB+A1MpXiF4iPngbZD9Aq8VQdvZQcvT0YFrIDvKxQH\n"
                           "L609ehm9uZ4aJds27Yv4jLF88SSc4BWDZ/OeSZc/6ylmzuIZciuZvvwqNGJH526S\n"
                           "uITJe+YzJsTy1rWua8I3OlGvbjWl7SRuVhTj0HWhlvsQ/Cj4neFdPbd83sj+1BOo\n"
                           "Y19hL6q26VLVHGjl+qWBrUuBdtIcfXm5zrVQauo7YyTkSVkLSvuXDIjFZBAVEr+v\n"
                           "kTr6zOCTBCdTCIzJTeWQ+Ob6hnrZqGPSSiz/8QHXqQKBgQDvgdxif9+vGYOTCcue\n"
                           "bMGp9u3hJ9FDhuwhUk6/ya2qMn/rhzvIrXQwNI2V8Q/s+K7egVXmbLu1kuZLZRk1\n"
                           "ZoWRDIhUP2zxg3YPJ0cwj2VY8RNFPO99vQPxaDH70udKjicAX3Vnn1szGHI3w9CY\n"
                           "TjPhmdJhrTyCarFCFCz2NwXhSQKBgQDHiAqiZcOP/7besxcaGDrGWlptlwKvwlT0\n"
                           "wYuJ9Np59LXgvMBPsOXhDzC6+WvzcpyNvzVUKFsDjFg7JL+SUTNMvW/BK3nfYiOd\n"
                           "/sQCAMtQW8PllmQ3/A7XDye1fcjZjdF1YtWf/Wy/rZv1jOc/ULrLM1FOq5j+uv8u\n"
                           "P30mqsK+KQKBgQCkGm5Obx9scibc0JFbc1keg7pp00Zm5kNUcXjTn/QF8aQEVRx5\n"
                           "W5+Ih/mbCxjGXX4zppqcz1OuDYENl6+2DxDlWZjvYKXctR5nM5prg1UFo+h4QFA3\n"
                           "7xKMjb/xs4gWZWADuWRQI7fxQoa//sMmGC8kHKkxk+kp0sCxbfGAoiK9QQKBgFRQ\n"
                           "IxY+ZCW8C10NViy7olJgqad3UTZNqrKF+l3ALnWsNxKRD75c5LZ2QcQwUzJa8tZe\n"
                           "vr0iFFtqeXn8bEr6ru+1eLyqj2QaRyyjE9Y42bDKJfwk0ZJqmya7C6+ASFfNun2c\n"
                           "1uI1JzfTt3xKHwk9JsFonOneTtcM03mKcGrfa00JAoGAHS/GgntbUolNRafTaFuJ\n"
                           "gVnDAE8+QNmHVTx8hhHSXJz+MBaenB5YqaxDPJ+Vgxkr2RsHOEvD2GXTpHz16+fT\n"
                           "7H+HYq5d5mCoI7xXRL/u2fosFtaTYxg3C9roa6KSe/gPnGsZGuYkWqO91QbGqVT/\n"
                           "qjUKAfQpNDIg7fQKMuKS1q0=\n"
                           "-----END PRIVATE KEY-----\n",
    [RSA_KEY_1024] = "-----BEGIN PRIVATE KEY-----\n"
                     "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAN0ygr+kYEQt2Bao\n"
                     "pY6tj0cGmKqIQxtn0X6Vt2sbQxT/VcwhKmag4kiBPRmGRJf+311NEqqES8dWRwFp\n"
                     "m+i4k4d63Q0ncUSS61WBs8keJoTTIk/XXb0rXAKqswW4XzXGoXRs7hJ2jbZrc+M+\n"
                     "IX4fCRuVSHrHxBerCKcQ1G151r+dAgMBAAECgYEAm5FGu5nTyp+jdmwt4+bU+dL9\n"
                     "1BH5gHDHugt58G5AA6iAowxAUeWcv/mFC0qPO4cZePkXw60/znYzgh7QdCA8QKFY\n"
                     "x2nQD9xqShQyL2vWN+SWYdmZfXaAIc4jiZ1da+E/hR9y9JzrDFZl9fQwNmuijSO7\n"
                     "Rmwtq3cSRHezPDEhPFECQQD6I2i/cKT/cPd4W2xlz0H870MRXFmLo89F9Kv18OkC\n"
                     "tAT2IjQQAR9EWZvTIhYoys6ByuHd3gidRKS9BbwWAoLHAkEA4mF7sPyBBp0k+IxO\n"
                     "bHZup3cyRmArcEdRPWQKzBmxWLbb0cABPJWPFIRWmiEBTPLfObNZYLB/OG8OVeW7\n"
                     "YqTGewJAAZpgfXmXVRvAOkE7vJtLbPeLknzpBgASv/wFbhoRJDdLINivRLr9HE8G\n"
                     "tJ+vTKugDyzhra5Sl89sztlOj0WM2QJAdAuat3hIv9YwTITH8sunH4t3pyHHQrAc\n"
                     "UgcFjeihw6NA/b2aJK9aAB9ysWG34/UgPtjUOT9gh9JOG/Q+4WssHwJBANW67IyH\n"
                     "0ajlipgmTjSWkbJHQEc6ieCK9/Fwz3nubpulIxT5VcmBhgPHFJSiqxuKZY2AnMhJ\n"
                     "yLJrKZkCwnxceE0=\n"
                     "-----END PRIVATE KEY-----\n",
};

EVP_PKEY *rsa_key(enum rsa_key name)
{
    BIO *bio = BIO_new_mem_buf(pems[name], -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    CHECK(key != NULL);
    BIO_free(bio);
    return key;
}
