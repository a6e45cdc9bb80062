"""The addresses of the views."""

from django.urls import path

from . import views

urlpatterns = [path("orders", views.place), path("orders/<int:pk>", views.show)]
