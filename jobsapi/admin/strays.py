"""Strays: what lies at schedulers and is no job's. Looked at here, adopted or removed by a worker."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from jobsapi.admin.schedulers import moment
from jobsapi.exceptions import JobsApiError
from jobsapi.models import Scheduler, Stray

MOST = 500
"""Strays that are decided at once: each is named before somebody says yes, and no other is meant then."""
SHORT = 10
"""Letters that the list shows of a long id: of the last part of a path."""
WORDS = {
    Stray.ADOPT: (
        "Adopt strays",
        "A worker has each go on as the job that it was of. One whose job has no row any more becomes a new job of the "
        "user that is named here; its description is not known, so it cannot be run again, but its results are "
        "fetched.",
        "Yes, adopt",
    ),
    Stray.REMOVE: (
        "Remove strays",
        "A worker stops each at its scheduler and removes it there. What it has computed is lost. Files at a submit "
        "host go too if no job has them; those in workspaces on this machine stay. This cannot be undone.",
        "Yes, remove",
    ),
}
"""The title of the page that asks, what it says will happen, and its button."""


class AdoptionForm(forms.Form):
    """Whose jobs, and of which app, strays become that have no row. ``owner`` is that user once it is valid."""

    user = forms.CharField(label="User whose jobs those without a row become", required=False)
    app = forms.CharField(label="App that they become jobs of, where it is not known", required=False, max_length=255)
    owner: Any = None

    def __init__(self, data: Any, by: str, labels: set[str]) -> None:
        """``by``: the name of who decides, and whose they become unless he says otherwise. ``labels``: apps of the
        strays, "" where it is not known; if all are, there is nothing to say.
        """
        super().__init__(data, initial={"user": by, "app": ", ".join(sorted(labels - {""}))[:255]})
        self.by = by
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"
        if "" not in labels:
            self.fields["app"].disabled = True
            self.fields["app"].label = "App that they become jobs of"
        elif len(labels) > 2:
            self.initial["app"] = ""

    def clean_user(self) -> str:
        """The name as it was given, or that of who decides."""
        users = get_user_model()
        name = self.cleaned_data["user"] or self.by
        self.owner = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
        if self.owner is None:
            raise forms.ValidationError(f"There is no user “{name}”. Nothing was changed.")
        return str(name)


@admin.register(Stray)
class StrayAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What workers have found. Nothing here asks a scheduler."""

    class Media:
        css: ClassVar = {"all": ["jobsapi/admin.css"]}

    list_display = ("short_id", "scheduler", "there", "reason", "standing")
    list_filter = ("scheduler", "what", "can_adopt")
    list_select_related = ("scheduler",)
    search_fields = ("native_id", "name", "label")
    readonly_fields = (
        *("scheduler", "native_id", "what", "of_job", "uid", "name", "label", "words", "why", "can_adopt", "since"),
        *("takes", "first_seen", "last_seen", "standing"),
    )
    fields = readonly_fields
    actions = ("adopt", "remove")
    change_list_template = "admin/jobsapi/stray/change_list.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With when each scheduler was last looked at, without which an empty list says nothing."""
        looked_at = Scheduler.objects.filter(given_up_at=None).order_by("name").values("name", "reconciled_at")
        return super().changelist_view(request, {**(extra_context or {}), "looked_at": looked_at})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without Django's own deletion: it would leave the thing where it is, and look as if it did not."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Without a button that deletes the row alone."""
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "show_delete": False})

    @admin.display(description="what", ordering="native_id")
    def short_id(self, stray: Stray) -> str:
        """What tells it from others in the list, with its name; the whole id is the title, and on its page."""
        last = stray.native_id.rpartition("/")[2]
        shown = last if len(last) <= SHORT + 2 else f"{last[:SHORT]}…"
        name = f" ({stray.name})" if stray.name else ""
        return format_html('<span title="{}">{} {}{}</span>', stray.native_id, stray.what, shown, name)

    @admin.display(description="how it is there", ordering="since")
    def there(self, stray: Stray) -> str:
        """In words, with what it takes and since when."""
        takes = "" if stray.size is None else filesizeformat(stray.size)
        since = "" if stray.since is None else f"since {moment(stray.since)}"
        return ", ".join(filter(None, (stray.words, takes, since)))

    @admin.display(description="why it is a stray", ordering="why")
    def reason(self, stray: Stray) -> str:
        """With a link to the job that it has to do with."""
        number = "" if stray.job_number is None else str(stray.job_number)
        before, found, after = stray.why.partition(number) if number else (stray.why, "", "")
        return format_html("{}{}{}", before, self.of_job(stray), after) if found else before

    @admin.display(description="job", ordering="job_number")
    def of_job(self, stray: Stray) -> str:
        if stray.job_number is None:
            return "no row"
        page = reverse(f"{self.admin_site.name}:jobsapi_job_change", args=[stray.job_number])
        return format_html('<a href="{}">{}</a>', page, stray.job_number)

    @admin.display(description="takes", ordering="size")
    def takes(self, stray: Stray) -> str:
        return "–" if stray.size is None else filesizeformat(stray.size)

    @admin.display(description="what comes of it")
    def standing(self, stray: Stray) -> str:
        if stray.wish:
            verb = "adopted" if stray.wish == Stray.ADOPT else "removed"
            return f"{stray.wished_by} wants it to be {verb}. {stray.outcome or 'A worker does it.'}"
        if stray.outcome:
            return stray.outcome
        return "to be decided" if stray.is_settled else "seen once: maybe a job that is being submitted"

    @admin.action(description="Adopt the selected strays …", permissions=["change"])
    def adopt(self, request: HttpRequest, queryset: QuerySet[Stray]) -> TemplateResponse | None:
        """Asks first, and whose the jobs without a row become."""
        return self._decided(request, queryset, Stray.ADOPT)

    @admin.action(description="Remove the selected strays from their schedulers …", permissions=["change"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Stray]) -> TemplateResponse | None:
        """Asks first."""
        return self._decided(request, queryset, Stray.REMOVE)

    def _decided(self, request: HttpRequest, chosen: QuerySet[Stray], wish: str) -> TemplateResponse | None:
        if not request.POST.get("confirmed"):
            return self._asked(request, chosen, wish)
        form = self._form(request, chosen, request.POST)
        if wish == Stray.ADOPT and not form.is_valid():
            return self._asked(request, chosen, wish, form)
        owner, label = (form.owner, form.cleaned_data["app"]) if wish == Stray.ADOPT else (None, "")
        wished = 0
        for stray in chosen.select_related("scheduler"):
            try:
                stray.request(wish, request.user.get_username(), owner, label)
            except JobsApiError as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            self.log_change(request, stray, f"To be {'adopted' if wish == Stray.ADOPT else 'removed'}.")
            wished += 1
        if wished:
            message = f"{wished:,} will be {'adopted' if wish == Stray.ADOPT else 'removed'} by a worker."
            self.message_user(request, message, messages.SUCCESS)
        return None

    def _form(self, request: HttpRequest, chosen: QuerySet[Stray], data: Any = None) -> AdoptionForm:
        labels = set(chosen.filter(job_number=None).order_by().values_list("label", flat=True).distinct())
        return AdoptionForm(data, request.user.get_username(), labels)

    def _asked(
        self, request: HttpRequest, chosen: QuerySet[Stray], wish: str, form: AdoptionForm | None = None
    ) -> TemplateResponse | None:
        if (number := chosen.count()) > MOST:
            more = f"{number:,} are chosen. Choose up to {MOST} at a time, or use manage.py reconcile --remove-all."
            self.message_user(request, more, messages.ERROR)
            return None
        title, sentence, button = WORDS[wish]
        without_row = wish == Stray.ADOPT and chosen.filter(job_number=None).exists()
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "sentence": sentence,
            "button": button,
            "wish": wish,
            "strays": chosen.select_related("scheduler"),
            "form": (form or self._form(request, chosen)) if without_row else None,
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/jobsapi/strays.html", context)
