/* Pages of lists: a cursor is the id of the last item before it. */
#include "serve/page.h"

bool page_is_full(const struct exchange *x, uint32_t count)
{
    return count == x->params.limit ||
           x->serve->body.len + SERVE_ITEM_MAX_BYTES > x->serve->body.max_bytes;
}

void page_begin(struct exchange *x, struct json_out *json)
{
    exchange_json(x, json);
    json_out_object_open(json, NULL);
    json_out_array_open(json, "items");
}

void page_end(struct exchange *x, struct json_out *json, const char *next)
{
    json_out_array_close(json);
    json_out_string_c(json, "next", next);
    json_out_object_close(json);
    exchange_reply(x, 200);
}

void page_fail(struct exchange *x)
{
    exchange_fail(x, &(struct exchange_problem){.status = 400,
                                                .code = "invalid",
                                                .detail = "the cursor's item is gone",
                                                .hint = "list from the start again"});
}
