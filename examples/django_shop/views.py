"""The HTTP side."""

import json

from django.db import connection, transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from oban_pro import sync

from .models import Order
from .workflows import build


@csrf_exempt
@require_POST
def place(request: HttpRequest) -> JsonResponse:
    """Store an order and start its workflow: both, or neither."""
    with transaction.atomic():
        order = Order.objects.create(**json.loads(request.body))
        sync.enqueue(build(order), connection)

    return JsonResponse({"order": order.pk}, status=202)


@require_GET
def show(request: HttpRequest, pk: int) -> JsonResponse:
    """Show the progress of an order."""
    order = get_object_or_404(Order, pk=pk)
    status = sync.Handle(order.workflow_id, connection).status()

    if status.state == "unknown":
        raise Http404

    return JsonResponse(
        {"state": status.state, "done": status.counts["completed"], "of": status.total}
    )
