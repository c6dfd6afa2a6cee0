"""With whom a job is shared: shown to all who may share it, and changed by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from jobsapi import policy
from jobsapi.models import Job, Right
from jobsapi.web.access import visible_job

MOST = 200
"""Groups that are offered at once."""


@dataclass(frozen=True)
class Sharing:
    """What the part of a page that shares a job shows."""

    shares: list[tuple[Group, str, str]]
    """The groups that the job is shared with, and what each may do: in words, and the right itself."""
    offered: list[Group]
    """Those that it could be shared with, too."""

    @classmethod
    def of(cls, user: Any, job: Job) -> Sharing | None:
        """What ``user`` is shown; None for those who may not share the job."""
        if not policy.may_share(user, job):
            return None
        shares = [(share.group, share.get_right_display(), share.right) for share in job.shares.select_related("group")]
        taken = [group.pk for group, *_ in shares]
        return cls(shares, list(_offered(user, job).exclude(pk__in=taken)[:MOST]))


@login_required
@require_POST
def share(request: HttpRequest, job_id: int) -> HttpResponse:
    """Give the ``group`` of a form a ``right``; without one, take it away."""
    job = visible_job(request.user, job_id)
    if not policy.may_share(request.user, job):
        raise PermissionDenied("This job is shared with you. Only its owner says with whom else.")
    number, right = request.POST.get("group", ""), request.POST.get("right", "")
    if not number.isdecimal() or len(number) > 18 or right not in ("", *Right.values):
        raise Http404("There is no such group or right.")
    if not right:
        job.shares.filter(group=int(number)).delete()
        messages.success(request, "Not shared with this group any more.", fail_silently=True)
        return redirect("jobsapi:job", job_id)
    group = _offered(request.user, job).filter(pk=int(number)).first()
    if group is None:
        raise Http404("There is no such group.")
    job.share(group, right)
    may = "see this job, and act on it" if right == Right.MANAGE else "see this job"
    messages.success(request, f"{group} may {may}.", fail_silently=True)
    return redirect("jobsapi:job", job_id)


def _offered(user: Any, job: Job) -> Any:
    """The groups of the user's own, or all for those who manage all; and those that have a share already."""
    groups = Group.objects.order_by("name")
    return groups if policy.manages_all(user) else (groups.filter(user=user.pk) | groups.filter(jobs=job)).distinct()
